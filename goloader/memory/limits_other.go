//go:build unix && !linux

package memory

// SystemLimits knows no bounds here; the budget alone decides.
func SystemLimits() []SystemLimit { return nil }
