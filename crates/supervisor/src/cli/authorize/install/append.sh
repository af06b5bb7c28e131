cd || exit 1;
umask 077;
mkdir -p .ssh && touch .ssh/authorized_keys || exit 1;
added=0; had=0; other=0;
while IFS=" " read -r key line; do
if grep -qxF -e "$line" .ssh/authorized_keys; then had=$((had + 1)); continue; fi;
if grep -qF -e "$key" .ssh/authorized_keys; then other=$((other + 1)); fi;
if [ -n "$(tail -c 1 .ssh/authorized_keys)" ]; then echo >> .ssh/authorized_keys || exit 1; fi;
printf "%s\n" "$line" >> .ssh/authorized_keys || exit 1;
added=$((added + 1));
done;
if command -v restorecon > /dev/null 2>&1; then restorecon -F .ssh .ssh/authorized_keys > /dev/null 2>&1; fi;
echo "tunneld: $added $had $other"
