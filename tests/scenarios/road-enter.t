# vzctl enter gives a login shell on a terminal of the container's own
# where: both
# needs: vz userns template:busybox command:script
# timeout: 120

  $ vzctl create $CTID --ostemplate busybox-x86_64 >/dev/null && vzctl start $CTID >/dev/null 2>&1
  $ enter() { script -qec "$*" /dev/null < /dev/null | tr -d '\r'; }

Without a terminal on standard input the lines are fed to the shell all the same.

  $ echo 'tty; exit 7' | vzctl enter $CTID > out; echo "code $?"; grep -a -c '^/dev/pts/' out
  code 7
  1
  $ head -n 1 out | sed "s/$CTID/N/"; tail -n 1 out | sed "s/$CTID/N/"
  entered into CT N
  exited from CT N

The terminal is the container's: it is there in /dev/pts, can be opened, and has job control.

  $ printf 'set -m; echo $- | grep -c m; test -c $(tty) && echo there; echo $HOME $USER $0\nexit\n' \
  >   | vzctl enter $CTID | tr -d '\r' | grep -a -E '^(1|there|/root root -sh)$'
  1
  there
  /root root -sh

Its size is the admin's terminal's; --exec types the words in.

  $ enter "stty rows 33 cols 99; vzctl enter $CTID --exec 'stty size; exit'" | grep -a -o '33 99'
  33 99

Ctrl-C reaches the command in the foreground, not vzctl.

  $ runs() { for _ in $(seq 300); do [ $(vzctl exec $CTID "ps | grep -c '[s]leep $1'") = $2 ] && return; sleep 0.1; done; echo "sleep $1: not $2"; }
  $ (printf 'sleep 1000\n'; runs 1000 1 >&2; printf '\003'; runs 1000 0 >&2; printf 'exit 5\n'; sleep 1) \
  >   | script -qec "vzctl enter $CTID" /dev/null > out; grep -a -c 'exited from CT' out
  1

A hang-up of the admin's terminal ends the session.

  $ script -qec "vzctl enter $CTID --exec 'sleep 1234'" /dev/null > /dev/null < /dev/null & runs 1234 1
  $ pkill -HUP -f "^vzctl enter $CTID"; wait; runs 1234 0

  $ vzctl enter $CTID --foo
  Invalid option '--foo'
  [20]
  $ vzctl enter $CTID --exec
  No command line given for --exec
  [20]
  $ vzctl stop $CTID --fast >/dev/null; vzctl destroy $CTID >/dev/null; rm /etc/vz/conf/$CTID.conf.destroyed
