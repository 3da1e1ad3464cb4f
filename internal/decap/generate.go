package decap

//go:generate go tool bpf2go -tags linux -go-package decap -target bpfel -cc clang-19 -strip llvm-strip-19 -type decap_exit decap ../../bpf/decap.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3
