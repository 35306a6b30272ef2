package jobs

import (
	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/limits"
)

// fileJob is what every job on an open file begins with.
func (c *Core) fileJob(j *job) (*embedder.File, fileMessage, error) {
	var m fileMessage
	f, err := find[*embedder.File](&c.handles, j.Handle())
	if err == nil {
		err = j.request(&m)
	}
	return f, m, err
}

func (c *Core) fileOpen(j *job) error {
	var m fileMessage
	if err := j.request(&m); err != nil {
		return err
	}
	f, err := c.runtime.OpenFile(m.Path)
	if err != nil {
		return err
	}
	return j.reply(fileOpenReply{Handle: c.handles.add(j.Owner(), f), Info: f.Info()})
}

func (c *Core) fileMetadata(j *job) error {
	f, m, err := c.fileJob(j)
	if err != nil {
		return err
	}
	reply, err := f.Metadata(m.Key, m.From, m.Count)
	if err != nil {
		return err
	}
	return j.reply(reply)
}

func (c *Core) fileTensors(j *job) error {
	f, m, err := c.fileJob(j)
	if err != nil {
		return err
	}
	tensors, err := f.Tensors(m.From, m.Count)
	if err != nil {
		return err
	}
	return j.reply(tensors)
}

func (c *Core) filePlan(j *job) error {
	f, m, err := c.fileJob(j)
	if err != nil {
		return err
	}
	p, err := embedder.PrecisionOf(m.Precision)
	if err != nil {
		return err
	}
	plan, err := f.Plan(p)
	if err != nil {
		return err
	}
	return j.reply(plan)
}

func (c *Core) fileChunk(j *job) error {
	f, m, err := c.fileJob(j)
	if err != nil {
		return err
	}
	out, err := j.Output(limits.ChunkBytes)
	if err != nil {
		return err
	}
	chunk, err := f.Chunk(m.Tensor, m.Offset, out)
	if err != nil {
		return err
	}
	return j.reply(chunk)
}

func (c *Core) fileLoad(j *job) error {
	f, m, err := c.fileJob(j)
	if err != nil {
		return err
	}
	return f.Load(m.Tensor, m.MemoryLimit, j.Cancelled(), j.floats)
}
