# Says what holds a listening port or the path of a socket, and changes nothing.
# Argument: the port in hex as /proc/net/tcp has it, or `path:` and the bytes of a path, three octal digits each.
# Says `tunneld: WORD DETAILS` and nothing else that matters. Any POSIX shell.

# Says who listens, by the files of the processes that can be seen.
holder() {
  for inode in $own; do
    for process in $(holders_of "$inode"); do
      is_session "$process" && say session "$process"
      look "$process"
      say program "$process" "$name"
    done
  done
}

look_at_file() {
  folder=${path%/*}/ name=${path##*/}
  [ -d "$folder" ] || say nodirectory
  [ -h "$path" ] && say nosocket
  [ -e "$path" ] || { [ -w "$folder" ] || say readonly; say free; }
  [ -S "$path" ] || say nosocket
  holder
  [ -n "$own" ] && say living
  cd "$folder" 2> /dev/null || say readonly
  unbound "$name" && say stale
  say living
}

main() {
  port=$1 path=
  case $port in path:*) decode "${port#*:}" ;; esac
  me=$(id -u)
  [ -r /proc/net/tcp ] && [ -r /proc/net/unix ] || say unsupported "there is no /proc/net/tcp"
  listeners
  [ -n "$path" ] && look_at_file
  holder
  # A session of this user's shows its files to root only.
  [ -n "$own" ] && say session
  [ -n "$foreign" ] && say other "$foreign"
  say free
}

main "$@"
exit 0
