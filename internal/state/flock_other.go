//go:build !unix

package state

import (
	"errors"
	"os"
)

// flock says that directors run on Unix only.
func flock(*os.File) error { return errors.ErrUnsupported }
