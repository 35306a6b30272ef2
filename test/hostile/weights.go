package hostile

import (
	"encoding/binary"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/quant"
)

// weights puts numbers that are none into good models: each is found at load, by tensor and block.
func weights() (cases []Case) {
	float := func(name string, index int, bits uint32) func(*model) {
		return func(m *model) { binary.LittleEndian.PutUint32(m.tensor(name).blocks[4*index:], bits) }
	}
	for name, bits := range map[string]uint32{"NaN": 0x7fc00000, "a signalling NaN": 0x7f800001, "infinity": 0x7f800000, "−infinity": 0xff800000} {
		for tensor, last := range map[string]int{"token_embd.weight": len(tinyTokens)*hidden - 1, "position_embd.weight": 0, "token_types.weight": 2*hidden - 1,
			"blk.0.attn_output_norm.weight": 0, "blk.0.ffn_up.bias": wide - 1} {
			cases = append(cases, broken(name+" in "+tensor, is(errs.GGUFNonFinite, tensor), float(tensor, last, bits)))
		}
	}
	for _, typeName := range []string{"F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "Q2_0"} {
		cases = append(cases, brokenScale(typeName, 0x7c00, "infinity"), brokenScale(typeName, 0x7e00, "NaN"))
	}
	cases = append(cases, broken("finite weights whose sums overflow", is(errs.GGUFNonFinite, "vector"), func(m *model) {
		m.overflow(2, 3) // [CLS] and [SEP], which every text has
	}))
	return append(cases, brokenScale("BF16", 0x7f80, "infinity"), brokenScale("BF16", 0x7fc0, "NaN"))
}

// brokenScale makes the first number of the last block of a matrix of this type none.
func brokenScale(typeName string, bits uint16, name string) Case {
	const tensor = "blk.0.attn_v.weight"
	return broken(name+" in a block of "+typeName, is(errs.GGUFNonFinite, tensor), func(m *model) {
		m.dropTensor(tensor)
		d := m.add(tensor, typeName, hidden, hidden)
		t, _ := quant.ByName(typeName)
		binary.LittleEndian.PutUint16(d.blocks[len(d.blocks)-t.BlockBytes:], bits)
	})
}
