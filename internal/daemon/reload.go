package daemon

import (
	"context"
	"errors"

	"naru/internal/cli"
	"naru/internal/config"
	"naru/internal/model"
)

// reload reads the file again and applies it: all of it, or nothing if any of it is
// wrong. It returns in sentences what changed.
func (d *daemon) reload(ctx context.Context) ([]string, error) {
	notify("RELOADING=1", monotonic())
	defer notify("READY=1")
	wanted, err := readConfig(d.path)
	if err == nil {
		err = preflight(ctx, wanted)
	}
	if err != nil {
		return nil, refusal(err)
	}
	return d.apply(ctx, wanted)
}

// refusal says over the API that the file cannot be applied, each fault on a line.
func refusal(err error) error {
	r := &model.Refusal{Code: model.Internal, Message: err.Error(), Edit: -1}
	var known *cli.Error
	if errors.As(err, &known) {
		r.Hint = known.Hint
	}
	if errors.As(err, new(config.Errors)) || known != nil && known.Code == cli.Usage {
		r.Code = model.Invalid
	}
	return r
}

// apply gives a good configuration to those who carry it out.
func (d *daemon) apply(ctx context.Context, c *config.Config) ([]string, error) {
	changes, err := d.control.SetFile(ctx, file(d.path, c))
	if err != nil {
		return nil, err
	}
	if err := d.dp.DropMisses(c.Miss == config.MissDrop); err != nil {
		return changes, err
	}
	for _, fault := range d.host.bring(ctx, c) {
		changes = append(changes, "not done yet: "+fault)
	}
	return changes, nil
}
