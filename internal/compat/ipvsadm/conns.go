package ipvsadm

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"naru/internal/api"
	"naru/internal/model"
)

const connsTitle = "IPVS connection entries\n" +
	"pro expire state       source             virtual            destination\n"

// listConns carries out -Lc. The table is written as it is read: it may be long.
func (t *tool) listConns(ctx context.Context, c Command) error {
	client, err := t.director()
	if err != nil {
		return err
	}
	conns := client.Conns(ctx)
	if c.JSON { // WriteConns is buffered: a refusal leaves standard output empty
		return asked(api.WriteConns(t.env.Stdout, conns))
	}
	name, done := t.names.namer(ctx, c.Numeric)
	defer done()
	w := bufio.NewWriter(t.env.Stdout)
	title := connsTitle
	for conn, err := range conns {
		if err != nil {
			w.Flush()
			return asked(err)
		}
		w.WriteString(title)
		title = ""
		writeConn(w, &conn, name)
	}
	w.WriteString(title)
	return w.Flush()
}

func writeConn(w *bufio.Writer, c *model.Conn, name namer) {
	fmt.Fprintf(w, "%-3s %-6s %-11s %-18s %-18s %s\n",
		strings.ToUpper(c.Protocol.String()),
		fmt.Sprintf("%02d:%02d", c.Expires/60, c.Expires%60), c.State,
		name(c.Protocol, c.Client), name(c.Protocol, c.Virtual), name(c.Protocol, c.Real))
}
