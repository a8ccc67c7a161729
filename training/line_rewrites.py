"""One-line fixes for rules whose fix is a mechanical rewrite of the line itself; patterns, no parser."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = r"[\w.$]+"

# Only where a pattern occurs exactly once is it certain which place the finding means.
_JAVASCRIPT: Mapping[str, tuple[tuple[str, str], ...]] = {
    # `x == null` also holds for undefined, so making it strict would change what the code does.
    "eqeqeq": ((r"(?<![=!<>])(?<!null )(==|!=)(?!=)(?!\s*(?:null|undefined)\b)", r"\1="),),
    "no-array-constructor": ((r"(?:new )?\bArray\(\)", "[]"),),
    "no-extra-boolean-cast": ((r"\bif \(!!(?=[\w$])", "if ("), (r"\bBoolean\(!!(?=[\w$])", "Boolean(")),
    "no-prototype-builtins": (
        (rf"({_NAME})\.hasOwnProperty\(([^()]+)\)", r"Object.prototype.hasOwnProperty.call(\1, \2)"),
        (rf"({_NAME})\.isPrototypeOf\(([^()]+)\)", r"Object.prototype.isPrototypeOf.call(\1, \2)"),
    ),
    "no-throw-literal": ((r"""\bthrow (("|')[^"'\\]*\2)(?=\s*(?:;|$))""", r"throw new Error(\1)"),),
    "no-undef-init": ((r"\b(var|let)(\s+\w+)\s*=\s*undefined\b", r"\1\2"),),
    "no-unneeded-ternary": ((rf"(= {_NAME} ===? {_NAME}) \? true : false", r"\1"),),
    "no-useless-computed-key": ((r"\[(['\"])([A-Za-z_$][\w$]*)\1\](?=\s*[:(])", r"\2"),),
    "prefer-exponentiation-operator": ((rf"\bMath\.pow\(({_NAME}), ({_NAME})\)", r"\1 ** \2"),),
    "prefer-object-has-own": (
        (r"(?:Object\.prototype|\{\}|Object)\.hasOwnProperty\.call\(", "Object.hasOwn("),
    ),
    "radix": ((r"\bparseInt\(([^(),]+)\)", r"parseInt(\1, 10)"),),
    "use-isnan": (
        (rf"({_NAME}) ===? NaN\b", r"Number.isNaN(\1)"),
        (rf"({_NAME}) !==? NaN\b", r"!Number.isNaN(\1)"),
    ),
}
_PYTHON: Mapping[str, tuple[tuple[str, str], ...]] = {
    "E721": (
        (r"(\btype\([^()]*\)) ==(?= )", r"\1 is"),
        (r"(\btype\([^()]*\)) !=(?= )", r"\1 is not"),
    ),
    "E722": ((r"\bexcept\s*:", "except Exception:"),),
    "G201": ((r"\.error\((.*), exc_info=(?:True|1)\)", r".exception(\1)"),),
    "PLW1508": ((r"(\b(?:os\.)?(?:getenv|environ\.get)\([^(),]+, )(\d+|True|False)(?=\))", r'\1"\2"'),),
    "PT015": ((r"\bassert (?:False|0), (.+)$", r"pytest.fail(\1)"),),
    "S104": ((r"(?<=[\"'])0\.0\.0\.0(?=[\"'])", "127.0.0.1"),),
    "S113": ((r"(\brequests\.\w+\((?:[^()]|\([^()]*\))+)\)", r"\1, timeout=10)"),),
    "S324": ((r"\bhashlib\.(?:md5|sha1)\(", "hashlib.sha256("),),
    "S501": ((r"\bverify=False\b", "verify=True"),),
    "S506": ((r"\byaml\.load\(([^(),]+)(?:, Loader=[\w.]+)?\)", r"yaml.safe_load(\1)"),),
    "TRY004": ((r"\braise \w+(?=\()", "raise TypeError"),),
}
_REWRITES = {**_JAVASCRIPT, **_PYTHON}


def rewrite_line(rule: str, line: str) -> str | None:
    """Return `line` without what `rule` objects to, or None where the rewrite is not certain."""
    hits = [rewrite for rewrite in _REWRITES.get(rule, ()) if len(re.findall(rewrite[0], line)) == 1]
    if len(hits) != 1:
        return None
    fixed = re.sub(*hits[0], line)
    return fixed if fixed != line else None
