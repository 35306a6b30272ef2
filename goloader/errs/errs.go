// Package errs holds the one error type of the project: a value with a stable code, the field it
// concerns, the byte offset in the file, and a message that says what, wanted, got, and what to do.
//
// It crosses the C boundary as code, kind, field, offset and message (capi) and becomes GgufError in
// JavaScript.
package errs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// NoOffset is the Offset of an error that concerns no place in a file.
const NoOffset int64 = -1

// Error is the only error type that leaves a package of this project.
type Error struct {
	Code    Code
	Field   string // metadata key, tensor name or option name; "" if none
	Offset  int64  // absolute byte in the file, NoOffset if none
	Message string // one line
	Err     error  // the cause, or nil
}

// New makes an error that concerns no place in a file.
func New(code Code, field, format string, args ...any) *Error {
	return At(code, field, NoOffset, format, args...)
}

// At makes an error that concerns the byte at offset.
func At(code Code, field string, offset int64, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Offset: offset, Message: oneLine(fmt.Sprintf(format, args...))}
}

// oneLine writes characters that do not print as Go's escapes: keys and names come from files.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) }

// Wrap is At with a cause, whose text ends the message.
func Wrap(cause error, code Code, field string, offset int64, format string, args ...any) *Error {
	e := At(code, field, offset, format, args...)
	e.Message += ": " + oneLine(cause.Error())
	e.Err = cause
	return e
}

// GaveUp says whether a caller gave its call up: by this flag, which any goroutine or C may set; nil never is.
func GaveUp(flag *atomic.Uint32) bool { return flag != nil && flag.Load() != 0 }

// Cancelled is what a call or a load ends with that its caller gave up.
func Cancelled(field string) *Error { return New(Aborted, field, "the call was cancelled") }

// Fault is a recovered panic as an error; field is what was under way.
func Fault(field string, recovered any) *Error {
	return New(InternalFault, field, "a fault of this library, please report it: %v", recovered)
}

// Kind is the code's row in Table; an unlisted code is a fault of ours.
func (e *Error) Kind() Kind {
	if k, ok := kinds[e.Code]; ok {
		return k
	}
	return Internal
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

func (e *Error) Unwrap() error { return e.Err }

// From returns err as an *Error; anything else becomes InternalFault.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Wrap(err, InternalFault, "", NoOffset, "unexpected error")
}
