package server

import (
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"naru/internal/api"
	"naru/internal/model"
)

// route is one entry of the API. answer returns the value to send; a nil value means
// that it has sent its answer by itself.
type route struct {
	method, path string
	answer       func(*Server, http.ResponseWriter, *http.Request) (any, error)
}

// routes is the whole API, as docs/openapi.yaml describes it.
func routes() []route {
	return []route{
		{http.MethodGet, api.PathServices, (*Server).services},
		{http.MethodPost, api.PathEdits, (*Server).edits},
		{http.MethodGet, api.PathConns, (*Server).conns},
		{http.MethodPost, api.PathReload, (*Server).reload},
		{http.MethodGet, api.PathStatus, (*Server).status},
		{http.MethodPost, api.PathStop, (*Server).stop},
	}
}

// handler answers every request with JSON, also those that no route takes.
func (s *Server) handler() http.Handler {
	all := routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.survive(w, r)
		if err := allowed(r.Context()); err != nil {
			s.refuse(w, r, err)
			return
		}
		var methods []string
		for _, route := range all {
			if route.path != r.URL.Path {
				continue
			}
			if route.method == r.Method {
				s.serve(w, r, route)
				return
			}
			methods = append(methods, route.method)
		}
		if methods != nil {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			answer(w, http.StatusMethodNotAllowed, invalid("%s %s: this path takes %s", r.Method, r.URL.Path, methods[0]))
			return
		}
		answer(w, http.StatusNotFound, invalid("%s: this naru (%s) has no such path", r.URL.Path, s.opts.Version))
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, route route) {
	value, err := route.answer(s, w, r)
	switch {
	case err != nil:
		s.refuse(w, r, err)
	case value != nil:
		answer(w, http.StatusOK, value)
	}
}

// refuse answers an error. What the client can do nothing about the operator should
// know too.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := refusal(err)
	if e.Code == model.Internal {
		s.opts.Log.Error("request not answered", "path", r.URL.Path, "cause", err)
	}
	answer(w, status(e.Code), e)
}

// survive keeps one request's panic from ending the daemon and with it the control
// of all other services.
func (s *Server) survive(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p) // net/http's own word for: cut the answer off
	}
	s.opts.Log.Error("request not answered", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	answer(w, http.StatusInternalServerError, refusal(fmt.Errorf("answer %s: a fault in naru, see its log", r.URL.Path)))
}

func (s *Server) services(_ http.ResponseWriter, _ *http.Request) (any, error) {
	stats, err := s.opts.Tables.Stats()
	if err != nil {
		return nil, err
	}
	snapshot := s.opts.Control.Snapshot()
	return api.Services{
		Version:  s.opts.Version,
		Capacity: s.opts.Tables.Capacity(),
		Timeouts: snapshot.Timeouts,
		Services: join(snapshot, stats, s.opts.Rates()),
	}, nil
}

func (s *Server) edits(w http.ResponseWriter, r *http.Request) (any, error) {
	var request api.EditsRequest
	if err := decode(w, r, &request); err != nil {
		return nil, err
	}
	if len(request.Edits) == 0 {
		return nil, invalid("request: edits is missing or empty")
	}
	notes, err := s.opts.Control.Edit(r.Context(), request.Edits)
	return api.EditsAnswer{Notes: notes}, err
}

// conns streams. Once something is sent the status cannot change any more, so a table
// that cannot be read to its end is cut off, which the client notices.
func (s *Server) conns(w http.ResponseWriter, r *http.Request) (any, error) {
	w.Header().Set("Content-Type", "application/json")
	stream := &stream{ResponseWriter: w}
	err := api.WriteConns(stream, s.opts.Tables.Conns())
	if err == nil || !stream.begun {
		return nil, err
	}
	if r.Context().Err() == nil { // else the client went away, which is no fault
		s.opts.Log.Error("conns cut off", "cause", err)
	}
	panic(http.ErrAbortHandler)
}

// stream knows whether anything was written.
type stream struct {
	http.ResponseWriter
	begun bool
}

func (s *stream) Write(b []byte) (int, error) {
	s.begun = true
	return s.ResponseWriter.Write(b)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &api.Empty{}); err != nil {
		return nil, err
	}
	changes, err := s.opts.Reload(r.Context())
	if changes == nil {
		changes = []string{}
	}
	return api.Reload{Changes: changes}, err
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) (any, error) {
	if err := decode(w, r, &api.Empty{}); err != nil {
		return nil, err
	}
	s.opts.Stop() // the end of Run waits for this answer
	return api.Empty{}, nil
}

func (s *Server) status(_ http.ResponseWriter, _ *http.Request) (any, error) {
	used, err := s.opts.Tables.Used()
	if err != nil {
		return nil, err
	}
	exits, err := s.opts.Tables.Exits()
	if err != nil {
		return nil, err
	}
	events, err := s.opts.Tables.Events()
	if err != nil {
		return nil, err
	}
	hooks := s.opts.Hooks()
	if hooks == nil {
		hooks = []api.Hook{}
	}
	return api.Status{
		Version:  s.opts.Version,
		Instance: s.opts.Instance,
		PID:      os.Getpid(),
		Started:  s.started.UTC().Format(time.RFC3339),
		File:     s.opts.File,
		Hooks:    hooks,
		Conns:    used,
		Capacity: s.opts.Tables.Capacity(),
		Exits:    exits,
		Events:   events,
		Faults:   s.opts.Faults(),
	}, nil
}
