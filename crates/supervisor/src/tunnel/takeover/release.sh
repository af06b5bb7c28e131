# Ends the session of this user that holds a listening port or the path of a socket, if it is certain which one it is,
# and removes the file of a socket that no program has bound any more.
# Arguments: the port in hex as /proc/net/tcp has it, or `path:` and the bytes of a path, three octal digits each (`file:`
# instead ends no session); the mark of this tunnel; the numbers of its sessions that live.
# Says `tunneld: WORD DETAILS` and nothing else that matters. Any POSIX shell; writes only to the path's directory.
# Removes the socket file that is left when nothing listens on it. It is moved aside first: what was looked at is what
# is removed, although another program may bind the path at any time.
remove_file() {
  folder=${path%/*}/ name=${path##*/} aside=.tunneld-$$
  [ -d "$folder" ] || say nodirectory
  [ -h "$path" ] && say nosocket
  if [ ! -e "$path" ]; then
    [ -n "$found" ] && say freed $found
    [ -w "$folder" ] || say readonly
    say free
  fi
  [ -S "$path" ] || say nosocket
  [ -O "$path" ] || say other "$(owner_of "$path")"
  cd "$folder" 2> /dev/null || say readonly
  unbound "$name" || say living
  mv "./$name" "./$aside" 2> /dev/null || say readonly
  if ! unbound "$aside"; then
    ln "./$aside" "./$name" 2> /dev/null && rm -f "./$aside"
    say living
  fi
  rm -f "./$aside"
  [ -n "$found" ] && say freed $found
  say removed
}

# The files of command lines with these words: one look at all processes, and no new process for each of them.
with_words() {
  if command -v grep > /dev/null 2>&1; then
    grep -l -F -e "$1" /proc/[0-9]*/cmdline
  else
    ls -d /proc/[0-9]*/cmdline
  fi 2>/dev/null
}

add() { case " $found " in *" $1 "*) ;; *) found="$found $1" ;; esac; }

main() {
  port=$1 mark=$2 path= found=
  case $port in path:* | file:*) decode "${port#*:}" ;; esac
  shift 2
  me=$(id -u) this=$PPID
  [ -r /proc/net/tcp ] && [ -r /proc/net/unix ] || say unsupported "there is no /proc/net/tcp"
  is_server "$(look "$this" && echo "$name")" || say unsupported "the shell is no child of the SSH server"
  listeners
  if [ -n "$path" ]; then
    [ -n "$own" ] || remove_file
    case $port in file:*) say living ;; esac
    [ -O "$path" ] || say other "$(owner_of "$path")"
  fi
  [ -n "$own" ] || { [ -n "$foreign" ] && say other "$foreign"; say free; }

  # The process whose files are readable is the owner: a program of the user's, or, for root, a session.
  holders=
  for inode in $own; do
    holders="$holders $(holders_of "$inode")"
  done
  exact=
  for process in $holders; do
    [ "$process" = "$this" ] && say ours
    is_session "$process" || { look "$process"; say program "$process" "$name"; }
    case " $exact " in *" $process "*) ;; *) exact="$exact $process" ;; esac
  done

  parents=
  for entry in /proc/[0-9]*; do look "${entry#/proc/}" && parents="$parents $parent "; done

  # Sessions of this tunnel by their mark, those that live apart.
  marked= spared=" $this "
  for entry in $(with_words "$mark:"); do
    process=${entry#/proc/} process=${process%%/*}
    look "$process" && [ "$owner" = "$me" ] || continue
    above=$parent number=$(words "$process")
    case $number in *" $mark:"*) ;; *) continue ;; esac
    number=${number##*" $mark:"} number=${number%% *}
    lives=
    for living; do [ "$number" = "$living" ] && lives=1; done
    if [ -n "$lives" ]; then spared="$spared$above "; elif is_session "$above"; then marked="$marked $above"; fi
  done

  found=
  for process in ${exact:-$marked}; do
    case $spared in *" $process "*) [ -n "$exact" ] && say ours ;; *) add "$process" ;; esac
  done
  if [ -n "$exact" ]; then
    # An interactive session, or that of another tunnel, must not be ended.
    for process in $found; do
      case " $marked " in *" $process "*) continue ;; esac
      case $parents in *" $process "*) say busy "$process" ;; esac
      case $(words "$process") in *@pts*) say busy "$process" ;; esac
    done
  elif [ -z "$found" ]; then
    # All sessions of this user.
    count=0
    for entry in /proc/[0-9]*; do
      process=${entry#/proc/}
      case $spared in *" $process "*) continue ;; esac
      is_session "$process" && add "$process" && count=$((count + 1))
    done
    [ "$count" = 0 ] && say nosession
    [ "$count" = 1 ] || say several "$count"
    for process in $found; do
      case $parents in *" $process "*) say busy "$process" ;; esac
      case $(words "$process") in *@pts*) say busy "$process" ;; esac
    done
  fi
  [ -n "$found" ] || say nosession

  # From now on the port or path is free when no process of this user listens there.
  for signal in TERM KILL; do
    for process in $found; do is_session "$process" && kill -s "$signal" "$process"; done 2>/dev/null
    tries=0
    while [ "$tries" -lt 20 ]; do
      listeners
      if [ -z "$own" ]; then
        [ -n "$path" ] && remove_file
        say freed $found
      fi
      tries=$((tries + 1))
      sleep 0.1 2>/dev/null || sleep 1
    done
  done
  say still $found
}

main "$@"
exit 0
