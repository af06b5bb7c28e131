# Ends the session of this user that holds a listening port, if it is certain which one it is.
# Arguments: the port in hex as /proc/net/tcp has it, the mark of this tunnel, the numbers of its sessions that live.
# Says `tunneld: WORD DETAILS` and nothing else that matters. Any POSIX shell; reads only /proc.
say() { echo "tunneld: $*"; exit 0; }

# The inodes of the listeners on the port that are ours, and the user of one that is not.
listeners() {
  own= foreign=
  for table in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$table" ] || continue
    while read -r _ local _ state _ _ _ user _ inode _; do
      case $local in *:"$port") ;; *) continue ;; esac
      [ "$state" = 0A ] || continue
      if [ "$user" = "$me" ]; then own="$own $inode"; else foreign=$user; fi
    done < "$table"
  done
}

# Sets name, parent, owner of a process; false when it has gone.
look() {
  name= parent= owner=
  [ -r "/proc/$1/status" ] || return 1
  while read -r key value _; do
    case $key in Name:) name=$value ;; PPid:) parent=$value ;; Uid:) owner=$value; break ;; esac
  done 2>/dev/null < "/proc/$1/status"
  [ -n "$owner" ]
}

words() { tr "\000" " " 2>/dev/null < "/proc/$1/cmdline"; }

is_server() { case $1 in sshd* | dropbear*) return 0 ;; *) return 1 ;; esac; }

# A process that serves one login of this user, and not the daemon, nor the privileged half of somebody's.
is_session() {
  look "$1" || return 1
  [ "$owner" = "$me" ] && is_server "$name" || return 1
  case $(words "$1") in *"["*) return 1 ;; esac
  look "$parent" && is_server "$name"
}

add() { case " $found " in *" $1 "*) ;; *) found="$found $1" ;; esac; }

main() {
  port=$1 mark=$2
  shift 2
  me=$(id -u) this=$PPID
  [ -r /proc/net/tcp ] || say unsupported "there is no /proc/net/tcp"
  is_server "$(look "$this" && echo "$name")" || say unsupported "the shell is no child of the SSH server"
  listeners
  [ -n "$own" ] || { [ -n "$foreign" ] && say other "$foreign"; say free; }

  # Whoever shows its files shows whose the listener is: a program of the user's, or, to root, a session.
  holders=
  for inode in $own; do
    holders="$holders $(ls -l /proc/[0-9]*/fd 2>/dev/null | while read -r line; do
      case $line in
        /proc/*) process=${line#/proc/} process=${process%%/*} ;;
        *"socket:[$inode]"*) echo "$process" ;;
      esac
    done)"
  done
  exact=
  for process in $holders; do
    [ "$process" = "$this" ] && say ours
    is_session "$process" || { look "$process"; say program "$process" "$name"; }
    case " $exact " in *" $process "*) ;; *) exact="$exact $process" ;; esac
  done

  # Sessions of this tunnel by their mark, those that live apart; and all of this user's.
  marked= spared=" $this " all= parents=
  for path in /proc/[0-9]*; do
    process=${path#/proc/}
    look "$process" || continue
    parents="$parents $parent "
    [ "$owner" = "$me" ] || continue
    above=$parent
    case $(words "$process") in
      *" $mark:"*)
        number=$(words "$process")
        number=${number##*" $mark:"} number=${number%% *}
        lives=
        for living; do [ "$number" = "$living" ] && lives=1; done
        if [ -n "$lives" ]; then spared="$spared$above "; elif is_session "$above"; then marked="$marked $above"; fi
        continue
        ;;
    esac
    is_session "$process" && all="$all $process"
  done

  found=
  for process in ${exact:-$marked}; do
    case $spared in *" $process "*) [ -n "$exact" ] && say ours ;; *) add "$process" ;; esac
  done
  if [ -n "$exact" ]; then
    # The session of somebody who is logged in, or of another tunnel, is not ours to end.
    for process in $found; do
      case " $marked " in *" $process "*) continue ;; esac
      case $parents in *" $process "*) say busy "$process" ;; esac
      case $(words "$process") in *@pts*) say busy "$process" ;; esac
    done
  elif [ -z "$found" ]; then
    count=0
    for process in $all; do
      case $spared in *" $process "*) ;; *) add "$process"; count=$((count + 1)) ;; esac
    done
    [ "$count" = 0 ] && say nobody
    [ "$count" = 1 ] || say several "$count"
    for process in $found; do
      case $parents in *" $process "*) say busy "$process" ;; esac
      case $(words "$process") in *@pts*) say busy "$process" ;; esac
    done
  fi
  [ -n "$found" ] || say nobody

  # From now on the port is free when nobody of this user listens there.
  for signal in TERM KILL; do
    for process in $found; do is_session "$process" && kill -s "$signal" "$process"; done 2>/dev/null
    tries=0
    while [ "$tries" -lt 20 ]; do
      listeners
      [ -n "$own" ] || say freed $found
      tries=$((tries + 1))
      sleep 0.1 2>/dev/null || sleep 1
    done
  done
  say still $found
}

main "$@"
exit 0
