package cpu

// #include <exec.h>
import "C"

// fastPath is what a type has beyond what every type gets: its own codes or float32.
type fastPath struct {
	storage C.int32_t      // in Exact, matrices keep their 16 bits in this form; 0: there is none
	blocks  bool           // matrices are packed from the file's blocks, without codes and scales or floats in between
	joined  bool           // in Fast, two blocks of a matrix come under one scale
	read    C.gsk_read_row // C reads a table's rows where it needs them; other tables are decoded here before the batch runs
}

// fastPaths is the table of types that have any. (Q5_0 is not joined: its codes of 5 bits would lose too much.)
var fastPaths = map[string]fastPath{
	"F32":    {read: C.gsk_read_row(C.gsk_read_f32)},
	"F16":    {storage: C.GSK_F16, blocks: true, read: C.gsk_read_row(C.gsk_read_f16)},
	"BF16":   {storage: C.GSK_BF16},
	"Q8_0":   {blocks: true, joined: true, read: C.gsk_read_row(C.gsk_read_q8_0)},
	"Q4_0":   {blocks: true},
	"IQ4_NL": {blocks: true},
}
