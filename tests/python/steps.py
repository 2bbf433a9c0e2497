"""Runs steps that depend on each other in order, and prints and counts the results."""

import traceback


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def walk(self, job):
        """Runs the public methods of an object as steps, in source order.

        The first line of a method's documentation says what holds once it is done.
        """
        print(f"\n{type(job).__doc__.splitlines()[0]}", flush=True)
        for name, step in vars(type(job)).items():
            if name.startswith("_") or not callable(step):
                continue
            said = step.__doc__.splitlines()[0]
            try:
                step(job)
            # Includes SystemExit: a tool that ends the program must not end the test.
            except (Exception, SystemExit) as error:
                self.failed += 1
                at = traceback.extract_tb(error.__traceback__)[-1]
                print(f"  FAILED  {said}", flush=True)
                print(f"          {type(error).__name__}: {error}", flush=True)
                print(f"          in {name}, {at.filename}:{at.lineno}", flush=True)
            else:
                self.passed += 1
                print(f"  ok      {said}", flush=True)


def same(what, got, expected):
    """Asserts equality, and shows both values if they differ."""
    assert got == expected, f"{what} is {got!r}, not {expected!r}"


def within(text, whole):
    """Asserts that the whole contains the text, and shows both if not."""
    assert text in whole, f"{text!r} is not in {whole!r}"


def fails(call, *texts):
    """Asserts that the call raises an exception whose message contains all texts."""
    try:
        returned = call()
    except Exception as error:
        for text in texts:
            within(text, str(error))
        return
    raise AssertionError(f"that should have failed, saying {texts!r}, but returned {returned!r}")
