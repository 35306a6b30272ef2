package gguf

import (
	"errors"

	"gguf-stream/goloader/errs"
)

// locate gives an error that names a key or a tensor of the file, but no place, that one's offset.
func (f *File) locate(err error) error {
	var e *errs.Error
	if !errors.As(err, &e) || e.Offset != errs.NoOffset || e.Field == "" {
		return err
	}
	if v, found, _ := f.Find(e.Field); found {
		e.Offset = v.at
	} else if t, found := f.FindTensor(e.Field); found {
		e.Offset = t.Offset
	}
	return err
}

// Uint is a key's value of any integer type, or absent.
func (f *File) Uint(key string, absent uint64) (uint64, error) {
	v, found, err := f.Find(key)
	if err != nil || !found {
		return absent, err
	}
	return v.Uint()
}

// Float is a key's value of a float type, or absent.
func (f *File) Float(key string, absent float64) (float64, error) {
	v, found, err := f.Find(key)
	if err != nil || !found {
		return absent, err
	}
	return v.Float()
}

// Text is a key's string, or absent.
func (f *File) Text(key, absent string) (string, error) {
	v, found, err := f.Find(key)
	if err != nil || !found {
		return absent, err
	}
	return v.Text()
}

// Flag is a key's bool, or nil when the file does not have it.
func (f *File) Flag(key string) (*bool, error) {
	v, found, err := f.Find(key)
	if err != nil || !found {
		return nil, err
	}
	b, err := v.Bool()
	return &b, err
}
