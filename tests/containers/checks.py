"""What was seen, a line each."""
failed = []


def check(what, fine, seen=""):
    print(f"{'ok  ' if fine else 'FAIL'} {what}" + (f": {seen}" if seen and not fine else ""), flush=True)
    if not fine:
        failed.append(what)


def note(what):
    print(f"#    {what}", flush=True)
