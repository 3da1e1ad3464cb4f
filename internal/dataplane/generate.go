package dataplane

//go:generate go tool bpf2go -tags linux -go-package dataplane -target bpfel -cc clang-19 -strip llvm-strip-19 -type exit -type event -type layout -type state -type entry_flags -type flow4 -type conn4 -type counters -type slot_line -type slot_tc -type slot_xdp lb ../../bpf/lb.tc.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3
//go:generate go tool bpf2go -tags linux -go-package dataplane -target bpfel -cc clang-19 -strip llvm-strip-19 -no-global-types xdp ../../bpf/lb.xdp.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3
