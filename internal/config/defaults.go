package config

import "naru/internal/model"

// What a file that does not say gets. reference.yaml states the same; a test compares.
const (
	DefaultVIPs      = Own
	DefaultMiss      = MissReset
	DefaultHook      = HookAuto
	DefaultConns     = 262144
	DefaultProtocol  = model.TCP
	DefaultScheduler = model.WLC
	DefaultForward   = model.DR
	DefaultWeight    = 1
)

// Limits of what a file may say, beside those of package model.
const (
	MinConns = 1024
	MaxConns = 16777216

	maxName      = 63       // bytes of a service's or real's name
	maxInterface = 15       // bytes of an interface's name: IFNAMSIZ-1 (include/uapi/linux/if.h)
	maxFile      = 32 << 20 // bytes of a file: some 70 000 services of ten reals
	maxLine      = 16 << 10 // bytes of a line: the YAML library's time grows with its square
	maxDepth     = 100      // levels of lists and maps: our files have six
)
