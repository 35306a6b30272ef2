// Limits that JavaScript and the core both hold to; docs_test.go compares them with goloader/limits, which has the reasons.

module.exports = Object.freeze({
  maxTextBytes: 1048576, // the default for one text
  maxQueuedTexts: 65536, // the default, and the core's own bound of a model's queue
  heapAllocationBytes: 10485760, // the largest that MemoryGuard lets through
  defaultBudgetBytes: 2147483648, // MemoryMonitor.forNodejs()'s
});
