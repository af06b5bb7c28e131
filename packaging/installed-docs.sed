# Paths of the repository as /usr/share/doc/tunneld has them; what is not installed loses its link.
s#\]\(\.\./packaging/prometheus/tunneld\.rules\.yml\)#](examples/prometheus-rules.yml)#g
s#packaging/prometheus/tunneld\.rules\.yml#examples/prometheus-rules.yml#g
s#\]\(\.\./packaging/grafana/tunneld\.json\)#](examples/grafana-dashboard.json)#g
s#\]\(\.\./packaging/(kubernetes|lease)/([^)]*)\)#](examples/\2)#g
s#`packaging/lease/lease\.conf`#`examples/lease.conf`#g
s#`systemd/examples#`examples#g
s#\[([^]]*)\]\(\.\./(tests|packaging/grafana|pictures)/([^)]*\.(py|rs|toml)|[^).]*)\)#\1#g
s#\]\(docs/([^)]*)\)#](\1)#g
