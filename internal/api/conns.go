package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"

	"naru/internal/model"
)

// The conn table may hold millions, so neither end ever has the whole of it: what
// WriteConns writes and readConns reads is one Conns value, a conn at a time.

// Conns returns the conn table as it is read. After an error it ends.
func (c *Client) Conns(ctx context.Context) iter.Seq2[model.Conn, error] {
	return func(yield func(model.Conn, error) bool) {
		body, err := c.ask(ctx, http.MethodGet, PathConns, nil)
		if err != nil {
			yield(model.Conn{}, err)
			return
		}
		defer body.Close()
		readConns(body, yield)
	}
}

// readConns yields each conn of a Conns value.
func readConns(r io.Reader, yield func(model.Conn, error) bool) {
	d := json.NewDecoder(bufio.NewReaderSize(r, 1<<16))
	fail := func(err error) {
		yield(model.Conn{}, fmt.Errorf("read answer of %s: %w", PathConns, err))
	}
	for _, want := range []json.Token{json.Delim('{'), "conns", json.Delim('[')} {
		if err := expect(d, want); err != nil {
			fail(err)
			return
		}
	}
	for d.More() {
		var conn model.Conn
		if err := d.Decode(&conn); err != nil {
			fail(err)
			return
		}
		if !yield(conn, nil) {
			return
		}
	}
	for _, want := range []json.Token{json.Delim(']'), json.Delim('}')} {
		if err := expect(d, want); err != nil {
			fail(err)
			return
		}
	}
}

// expect reads one token. An answer that was cut off ends in io.ErrUnexpectedEOF.
func expect(d *json.Decoder, want json.Token) error {
	got, err := d.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("want %v, have %v", want, got)
	}
	return nil
}

// WriteConns writes conns as one Conns value, a line for each conn. After an error,
// of its own or of the sequence, the value is left open, so that no reader takes a
// part of the table for the whole.
func WriteConns(w io.Writer, conns iter.Seq2[model.Conn, error]) error {
	b := bufio.NewWriterSize(w, 1<<16)
	b.WriteString(`{"conns":[`)
	between := "\n"
	for conn, err := range conns {
		if err != nil {
			return err
		}
		line, err := json.Marshal(conn)
		if err != nil {
			return fmt.Errorf("write conns: %w", err)
		}
		b.WriteString(between)
		if _, err := b.Write(line); err != nil {
			return fmt.Errorf("write conns: %w", err)
		}
		between = ",\n"
	}
	b.WriteString("\n]}\n")
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write conns: %w", err)
	}
	return nil
}
