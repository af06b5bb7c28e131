# What listens on a port or a path of this machine, and what the processes are. For the scripts after it, which are sent
# with it. `say` ends a script with its one line, `tunneld: WORD DETAILS`. Any POSIX shell; $path, $port and $me are set before.
say() { echo "tunneld: $*"; exit 0; }

# The inodes of the listeners on the port or path that are ours, and the user of one that is not.
listeners() {
  own= foreign=
  if [ -n "$path" ]; then
    # State 01: bound, perhaps listening. Connections that were accepted carry the path, too, as 03.
    while read -r _ _ _ _ _ state inode file; do
      [ "$state" = 01 ] && [ "$file" = "$path" ] && own="$own $inode"
    done < /proc/net/unix
    return
  fi
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

# The processes that have the socket with this inode open, where their files can be seen. Without grep only the shell is slower.
holders_of() {
  ls -l /proc/[0-9]*/fd 2>/dev/null | lines_with "^/proc/" "socket:\[$1]" | while read -r line; do
    case $line in
      /proc/*) process=${line#/proc/} process=${process%%/*} ;;
      *"socket:[$1]"*) echo "$process" ;;
    esac
  done
}

lines_with() {
  if command -v grep > /dev/null 2>&1; then grep -e "$1" -e "$2"; else while read -r line; do printf "%s\n" "$line"; done; fi
}

is_server() { case $1 in sshd* | dropbear*) return 0 ;; *) return 1 ;; esac; }

# A process that serves one login of this user, and not the daemon, nor the privileged half of a session.
is_session() {
  look "$1" || return 1
  [ "$owner" = "$me" ] && is_server "$name" || return 1
  case $(words "$1") in *"["*) return 1 ;; esac
  look "$parent" && is_server "$name"
}

# Sets path from its octal digits.
decode() {
  digits=$1 text=
  while [ -n "$digits" ]; do
    rest=${digits#???}
    text="$text\\0${digits%"$rest"}"
    digits=$rest
  done
  path=$(printf "%b." "$text")
  path=${path%.}
}

owner_of() { ls -nd "$1" | { read -r _ _ user _; echo "$user"; }; }

# Whether no program has bound the socket file $1, in this directory. A datagram socket cannot connect to a stream
# socket: the kernel tells whether there is one, and the program that listens on it hears nothing of the question.
unbound() {
  listeners
  [ -z "$own" ] || return 1
  for tool in perl python3 python; do
    command -v "$tool" > /dev/null 2>&1 || continue
    if [ "$tool" = perl ]; then
      perl -MSocket -MErrno -e '
        socket(S, AF_UNIX, SOCK_DGRAM, 0) or exit 5;
        exit 4 if connect(S, pack_sockaddr_un($ARGV[0]));
        exit($!{ECONNREFUSED} ? 3 : 4)' "./$1"
    else
      "$tool" -c '
import errno, socket, sys
try: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect(sys.argv[1])
except socket.error as error: sys.exit(3 if error.errno == errno.ECONNREFUSED else 4)
sys.exit(4)' "./$1"
    fi > /dev/null 2>&1 < /dev/null
    case $? in 3) return 0 ;; 4) return 1 ;; esac
  done
  # Only the kernel's table, which has paths as they were bound: from another directory, only the last part is the same.
  while read -r _ _ _ _ _ state _ file; do
    case $state:$file in 01:*/"$name" | 01:"$name") return 1 ;; esac
  done < /proc/net/unix
}
