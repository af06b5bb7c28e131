"""packaging/kubernetes against Kubernetes' own schemas, and its configs and variables against tunneld."""
import glob, os, subprocess

import lab
from checks import check, note

# The first with sidecars on by default, and a late one.
VERSIONS = ("1.29", "1.37")


def run():
    try:
        import kubernetes_validate
        import yaml
    except ImportError:
        return check("kubernetes-validate is installed (pip install kubernetes-validate)", False)
    for path in sorted(glob.glob(os.path.join(lab.ROOT, "packaging/kubernetes/*.yaml"))):
        name = os.path.basename(path)
        with open(path) as file:
            documents = list(yaml.safe_load_all(file))
        for document in documents:
            for version in VERSIONS:
                what = f"{name}: {document['kind']} by the schema of {version}"
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                    check(what, True)
                except Exception as error:  # each of its kinds of error says where
                    check(what, False, str(error))
            configs(name, document)
            for container in containers(document):
                variables(name, container)


def containers(document):
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    return pod.get("initContainers", []) + pod.get("containers", [])


def configs(name, document):
    if document["kind"] != "ConfigMap":
        return
    path = os.path.join(lab.TMP, "tunneld.toml")
    with open(path, "w") as file:
        file.write(document["data"]["tunneld.toml"])
    checked = subprocess.run([lab.TUNNELD, "check", "--config", path], capture_output=True, text=True)
    check(f"{name}: tunneld takes the config", checked.returncode == 0, checked.stderr)
    hosts = os.path.join(lab.TMP, "known_hosts")
    with open(hosts, "w") as file:
        file.write(document["data"]["known_hosts"])
    found = subprocess.run(["ssh-keygen", "-l", "-f", hosts], capture_output=True, text=True)
    check(f"{name}: ssh-keygen reads the known hosts", found.returncode == 0, found.stderr)


def variables(name, container):
    """What the variables come to, with the files where this machine may have them."""
    environment = {one["name"]: one["value"] for one in container.get("env", []) if one["name"].startswith("SSH_")}
    if not environment:
        return
    for variable in ("SSH_KEY_FILE", "SSH_KNOWN_HOSTS_FILE"):
        environment[variable] = os.path.join(lab.TMP, variable)
        open(environment[variable], "w").close()
    shown = subprocess.run([lab.TUNNELD, "container", "--print"], env={**os.environ, **environment}, capture_output=True, text=True)
    check(f"{name}: tunneld takes the variables", shown.returncode == 0 and environment["SSH_REMOTE_HOST"] in shown.stdout, shown.stderr)
    note(f"{name}: " + next((line for line in shown.stdout.splitlines() if "_forward" in line), ""))
