"""Which build is under test, and what its sanitizers or assertions said."""
import re

TROUBLE = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:"
                     r"|selvedge: bug:|Assertion `.*' failed)")


def is_sanitized(binary):
    with open(binary, "rb") as file:
        code = file.read()
    return b"__asan_init" in code or b"__tsan_init" in code


def trouble_in(text):
    """The lines from the first complaint on; empty when there is none."""
    found = TROUBLE.search(text)
    return text[text.rfind("\n", 0, found.start()) + 1:][:6000] if found else ""
