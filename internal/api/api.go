// Package api is what the daemon's commands and its HTTP server say to each other:
// the types on the wire (JSON) and a client. docs/openapi.yaml describes the same.
//
// The server listens on a unix socket, Socket(instance). Requests and answers are
// JSON; an answer with a status of 400 or above is an Error.
package api

import (
	"naru/internal/model"
)

// Paths of the API. All are versioned together.
const (
	PathServices = "/v1/services" // GET: Services
	PathEdits    = "/v1/edits"    // POST EditsRequest: EditsAnswer
	PathConns    = "/v1/conns"    // GET: Conns
	PathReload   = "/v1/reload"   // POST: Reload
	PathStatus   = "/v1/status"   // GET: Status
	PathStop     = "/v1/stop"     // POST: Empty; the daemon ends, forwarding goes on
)

// Empty is an answer that says nothing but success.
type Empty struct{}

// Services is the table: what ipvsadm -L lists.
type Services struct {
	Version  string         `json:"version"`  // of the daemon
	Capacity uint32         `json:"capacity"` // conns the table can hold
	Timeouts model.Timeouts `json:"timeouts"`
	Services []Service      `json:"services"` // in the order ipvsadm lists them
}

// Service is one service as it runs.
type Service struct {
	Name string `json:"name,omitempty"`
	model.Key
	Scheduler model.Scheduler `json:"scheduler"`
	Owner     model.Owner     `json:"owner"`
	Held      bool            `json:"held"` // the director holds the VIP now
	Counters  model.Counters  `json:"counters"`
	Rates     model.Rates     `json:"rates"`
	Reals     []Real          `json:"reals"` // in the order ipvsadm lists them: by address, port
}

// Real is one real as it runs.
type Real struct {
	model.Real                // Forward is Local if the address is the director's own; Weight is the configured or overriding one
	Effective  uint32         `json:"effective_weight"`
	Owner      model.Owner    `json:"owner"`
	Reachable  bool           `json:"reachable"` // its MAC is known, or it is local
	Active     uint32         `json:"active"`
	Inactive   uint32         `json:"inactive"`
	Counters   model.Counters `json:"counters"`
	Rates      model.Rates    `json:"rates"`
}

// EditsRequest is a list of edits of which either all are made or none.
type EditsRequest struct {
	Edits []model.Edit `json:"edits"`
}

// EditsAnswer says what an operator should know about edits that were made.
type EditsAnswer struct {
	Notes []string `json:"notes,omitempty"` // one sentence each
}

// Conns is the conn table: what ipvsadm -Lc lists.
type Conns struct {
	Conns []model.Conn `json:"conns"`
}

// Reload says what reading the file again changed, in sentences.
type Reload struct {
	Changes []string `json:"changes"`
}

// Status is the daemon's and the packet path's condition.
type Status struct {
	Version  string            `json:"version"`
	Instance string            `json:"instance"`
	PID      int               `json:"pid"`
	Started  string            `json:"started"` // RFC 3339
	File     string            `json:"file,omitempty"`
	Hooks    []Hook            `json:"hooks"`
	Conns    uint32            `json:"conns"`            // in the table now
	Capacity uint32            `json:"capacity"`         // of the table
	Exits    map[string]uint64 `json:"exits"`            // packets by the reason for which they left the path
	Events   map[string]uint64 `json:"events"`           // what happened to the conn table, by name
	Faults   []string          `json:"faults,omitempty"` // what is not as it should be, one sentence each
}

// Hook is an interface that the packet path is attached to.
type Hook struct {
	Interface string `json:"interface"`
	Kind      string `json:"kind"`             // "xdp", "tcx" or "clsact"
	Why       string `json:"why"`              // what on this interface asked for it
	Choice    string `json:"choice,omitempty"` // why it is of this kind
}

// Error is why a request was refused. Nothing of it was done.
type Error = model.Refusal
