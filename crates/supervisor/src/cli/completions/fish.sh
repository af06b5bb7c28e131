# fish completion for tunneld: tunneld completions fish > ~/.config/fish/completions/tunneld.fish
function __tunneld_complete
    set -l words (commandline -opc)
    set -l lines ($words[1] complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
    if test "$lines[1]" = ":path:"
        __fish_complete_path (commandline -ct)
    else if test (count $lines) -gt 0
        printf '%s\n' $lines
    end
end
complete -c tunneld -f -a '(__tunneld_complete)'
