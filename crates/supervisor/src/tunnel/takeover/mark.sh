# Marks a session by its arguments, which others of this user can read, for as long as the session lives.
main() { echo "tunneld: mark"; read -r _; }
main
exit 0
