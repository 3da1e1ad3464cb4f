package ipvsadm

// version begins as the original's does, because scripts look for the number.
const version = "ipvsadm v1.31 2019/12/24 (naru, compatible with IPVS v1.2.1)\n"

const help = `ipvsadm: look at and change naru's virtual services, with ipvsadm's own options.

usage:
  ipvsadm                               list the table, with names
  ipvsadm -L|-l [SERVICE] [view]        list the table or one service
  ipvsadm -A|-E SERVICE [-s scheduler]  add or edit a service
  ipvsadm -D SERVICE                    delete a service and its reals
  ipvsadm -a|-e SERVICE -r HOST[:PORT] [-g|-i|-m] [-w weight]
                                        add or edit a real
  ipvsadm -d SERVICE -r HOST[:PORT]     delete a real
  ipvsadm -C                            delete everything that was added here
  ipvsadm -S [-n]                       save: print lines that -R reads
  ipvsadm -R                            restore from standard input, all lines or none
  ipvsadm -Z [SERVICE]                  zero the counters of one service or of all
  ipvsadm --set TCP TCPFIN UDP          set timeouts in seconds; 0 keeps one
  ipvsadm -h | -v                       this text, the version
The command comes first on the line; short options may be joined, as in -Ln.

SERVICE:
  -t, --tcp-service HOST:PORT     a TCP service
  -u, --udp-service HOST:PORT     a UDP service

options:
  -s, --scheduler NAME            rr wrr lc wlc sh mh (default wlc)
  -r, --real-server HOST[:PORT]   the port is the service's unless -m is given too
  -g, --gatewaying                forward by direct routing (default)
  -i, --ipip                      forward by IP-in-IP tunnel
  -m, --masquerading              forward by NAT, which alone can map ports
  -w, --weight N                  0 to 65535 (default 1); 0 takes no new conns

views:
  -c, --connection                the conn table
      --timeout                   the timeouts
      --stats                     counters since they were zeroed
      --rate                      the same per second
  -n, --numeric                   no look-up of names
  -X, --exact                     large counters in full
      --nosort                    in the director's order
      --json                      what the director answered, as JSON

long forms of the commands: --list --add-service --edit-service --delete-service
  --add-server --edit-server --delete-server --clear --save --restore --zero
  --help --version

-E and -e replace all of what they edit: what the line does not say becomes the
default. -e on a real of naru's configuration file changes its weight only.

examples:
  ipvsadm -A -t 192.168.1.5:80 -s wlc
  ipvsadm -a -t 192.168.1.5:80 -r 192.168.1.11 -g -w 5
  ipvsadm -a -t 192.168.1.5:80 -r 192.168.1.12:8080 -m
  ipvsadm -e -t 192.168.1.5:80 -r 192.168.1.11 -g -w 0    # quiesce
  ipvsadm -Ln --stats
  ipvsadm -Sn > table; ipvsadm -R < table

exit codes:
  0    done
  1    no such service to list
  2    wrong arguments, or no director to talk to; nothing was done
  255  refused by the director, or an unknown option; nothing was done
`
