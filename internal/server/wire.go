package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"naru/internal/api"
	"naru/internal/model"
)

// maxRequest holds some 300 000 edits; a restore of the largest tables is smaller.
const maxRequest = 64 << 20

// status returns the HTTP status of a code (model.Code).
func status(c model.Code) int {
	switch c {
	case model.Invalid:
		return http.StatusBadRequest
	case model.NoService, model.NoReal:
		return http.StatusNotFound
	case model.ServiceExists, model.RealExists, model.FileOwned:
		return http.StatusConflict
	case model.Denied:
		return http.StatusForbidden
	case model.Full:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// decode reads a request strictly: what this version does not know is a mistake or
// the wish of a newer one, and neither may be done by half.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return invalid("request of content type %q: send application/json", r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return undecodable(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return invalid("request: one JSON value is wanted, more follows it")
	}
	return nil
}

func undecodable(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return invalid("request: larger than %d MiB", maxRequest>>20)
	}
	if errors.Is(err, io.EOF) {
		return invalid("request: a JSON value is wanted, nothing came")
	}
	return invalid("request: %v", err)
}

// invalid returns the refusal of a request that no edit of it is to blame for.
func invalid(format string, args ...any) *api.Error {
	return &api.Error{Code: model.Invalid, Edit: -1, Message: fmt.Sprintf(format, args...)}
}

// refusal returns err as the API says it: a *api.Error within it, else Internal.
func refusal(err error) *api.Error {
	var known *api.Error
	if errors.As(err, &known) {
		return known
	}
	return &api.Error{Code: model.Internal, Edit: -1, Message: err.Error()}
}

// answer writes one JSON value. A client that does not take it is not waited for.
func answer(w http.ResponseWriter, status int, value any) {
	b, err := json.Marshal(value)
	if err != nil { // a value that cannot be said is a mistake of ours
		status = http.StatusInternalServerError
		b, _ = json.Marshal(refusal(fmt.Errorf("write answer: %w", err)))
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // the client is gone if this does not work
}
