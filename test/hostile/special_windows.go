package hostile

// special are paths to what looks like a file and is none.
func special() []Case {
	return []Case{noFile("NUL", func(string) (string, error) { return "NUL", nil })}
}

func specialSplits() []Case { return nil }
