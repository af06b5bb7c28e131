#compdef tunneld
# zsh completion for tunneld: as _tunneld in a folder of $fpath, or source <(tunneld completions zsh) after compinit
_tunneld() {
    local line word
    local -a values
    for line in "${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ $line == ":path:" ]] && { _files; return }
        [[ -z $line ]] && continue
        word=${line%%$'\t'*}
        if [[ $line == *$'\t'* ]]; then
            values+=("${word//:/\\:}:${line#*$'\t'}")
        else
            values+=("${word//:/\\:}")
        fi
    done
    _describe 'tunneld' values
}
if [[ $funcstack[1] == _tunneld ]]; then
    _tunneld "$@"
else
    compdef _tunneld tunneld
fi
