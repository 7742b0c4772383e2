"""Templates for x86 processors: SSE, AVX2 and AVX-512 from one code path."""
