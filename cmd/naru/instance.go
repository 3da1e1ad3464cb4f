package main

import (
	"github.com/spf13/pflag"

	"naru/internal/api"
	"naru/internal/cli"
)

// instanceFlag is the flag --instance, the same for every command that has it.
type instanceFlag struct{ name string }

func (f *instanceFlag) addFlag(fs *pflag.FlagSet) {
	fs.StringVar(&f.name, "instance", "",
		"the director's `NAME`, if the machine has several (default $NARU_INSTANCE, else the one of this network namespace)")
}

// resolve returns the instance a command talks to.
func (f *instanceFlag) resolve(e cli.Env) (string, error) {
	name, err := f.name, api.CheckInstance(f.name)
	if f.name == "" {
		name, err = api.Discover(e.Getenv)
	}
	if err != nil {
		return "", cli.Errorf(cli.Usage, "%w", err)
	}
	return name, nil
}

// starting returns the instance that a new daemon is. Another one in the same
// namespace is no reason to take its name.
func (f *instanceFlag) starting(e cli.Env) (string, error) {
	if f.name == "" && e.Getenv(api.EnvInstance) == "" {
		return api.DefaultInstance, nil
	}
	return f.resolve(e)
}

// client returns a client of that instance's daemon.
func (f *instanceFlag) client(e cli.Env) (*api.Client, error) {
	name, err := f.resolve(e)
	if err != nil {
		return nil, err
	}
	return api.NewClient(api.Socket(name)), nil
}
