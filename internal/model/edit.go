package model

// EditOp is what an Edit does: the commands of ipvsadm.
type EditOp string

// The operations, beside the fields of Edit that each reads.
const (
	AddService    EditOp = "add-service"    // Service, without reals
	EditService   EditOp = "edit-service"   // Service: replaces the scheduler
	DeleteService EditOp = "delete-service" // Service.Key
	AddReal       EditOp = "add-real"       // Service.Key, Real
	EditReal      EditOp = "edit-real"      // Service.Key, Real
	DeleteReal    EditOp = "delete-real"    // Service.Key, Real.Address
	Clear         EditOp = "clear"          // nothing
	Zero          EditOp = "zero"           // Service.Key; all services if it is empty
	SetTimeouts   EditOp = "set-timeouts"   // Timeouts; a 0 keeps what is set
)

// Edit is one change asked for by ipvsadm or another client of the API.
type Edit struct {
	Op       EditOp   `json:"op"`
	Service  Service  `json:"service,omitzero"`
	Real     Real     `json:"real,omitzero"`
	Timeouts Timeouts `json:"timeouts,omitzero"`
}

// OwnerKind is one of the two owners of services and reals.
type OwnerKind string

// The owners.
const (
	FileOwner OwnerKind = "file" // the configuration file names it
	EditOwner OwnerKind = "edit" // ipvsadm or another client of the API asked for it
)

// Owner says where a service or real comes from.
type Owner struct {
	Kind OwnerKind `json:"kind"`
	File string    `json:"file,omitempty"` // of kind file: where it is written
	Line int       `json:"line,omitempty"`
}

// Code classifies a Refusal; ipvsadm's messages follow from it.
type Code string

// The codes. Each has one HTTP status.
const (
	Invalid       Code = "invalid"        // 400: the request breaks a rule
	ServiceExists Code = "service-exists" // 409
	NoService     Code = "no-service"     // 404
	RealExists    Code = "real-exists"    // 409
	NoReal        Code = "no-real"        // 404
	FileOwned     Code = "file-owned"     // 409: belongs to the configuration file
	Denied        Code = "denied"         // 403: the peer may not
	Full          Code = "full"           // 507: a table has no room
	Internal      Code = "internal"       // 500
)

// Refusal is why edits were refused. Nothing of it was done.
type Refusal struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`        // one sentence: what, and where
	Hint    string `json:"hint,omitempty"` // how to mend it
	Edit    int    `json:"edit"`           // index of the edit at fault, -1 if none
}

// Error implements error.
func (e *Refusal) Error() string { return e.Message }
