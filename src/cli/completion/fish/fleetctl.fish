# fish completion of fleetctl. What may come next fleetctl says itself, so that this file never grows stale.
function __fleetctl_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l found (command $words[1] __complete $words[2..-1] 2>/dev/null)
	if test "$found" = ":files"
		__fish_complete_path (commandline -ct)
	else
		printf '%s\n' $found
	end
end
complete -c fleetctl -f -a '(__fleetctl_complete)'
