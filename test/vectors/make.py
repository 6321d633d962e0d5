"""Makes sealed-v1.json with jwcrypto, so that another implementation says what is right.

    python3 -m venv /tmp/jwcrypto && /tmp/jwcrypto/bin/pip install jwcrypto==1.6.1
    /tmp/jwcrypto/bin/python test/vectors/make.py > test/vectors/sealed-v1.json
    npx biome format --write test/vectors/sealed-v1.json

Where a vector must be wrong in a way that jwcrypto refuses to make, cryptography alone makes it.
"""

import base64
import hashlib
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwcrypto import jwe, jwk

FILES = "application/vnd.hushbox.files"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def proof_of(fragment):
    return HKDF(hashes.SHA256(), 32, b"", b"hushbox proof v1").derive(fragment)


K = bytes(range(0x80, 0xA0))
D = bytes(range(0x20, 0x40))
OCT = jwk.JWK(kty="oct", k=b64(K))
PRIVATE = jwk.JWK.from_pyca(X25519PrivateKey.from_private_bytes(D))
X = json.loads(PRIVATE.export_public())["x"]
PUBLIC = jwk.JWK(kty="OKP", crv="X25519", x=X)


def seal(plaintext, alg, **more):
    """By jwcrypto alone."""
    key = OCT if alg == "dir" else PUBLIC
    header = {"alg": alg, "enc": "A256GCM", "kid": key.thumbprint(), **more}
    token = jwe.JWE(plaintext, protected=compact(header), algs=["dir", "ECDH-ES", "A256GCM", "A128GCM"])
    token.add_recipient(key)
    return token.serialize(compact=True)


def seal_by_hand(plaintext, header, key, iv=bytes(12), between=""):
    head = b64(header.encode() if isinstance(header, str) else compact(header).encode())
    sealed = AESGCM(key).encrypt(iv, plaintext, head.encode())
    return ".".join([head, between, b64(iv), b64(sealed[:-16]), b64(sealed[-16:])])


def concat_kdf(shared):
    info = b"\0\0\0\7A256GCM" + bytes(8) + (256).to_bytes(4, "big")
    return ConcatKDFHash(hashes.SHA256(), 32, info).derive(shared)


def pack(listed, text=None, /, **wrong):
    head = {} if text is None else {"text": len(text)}
    head["files"] = [{"name": name, "type": kind, "bytes": len(data)} for name, kind, data in listed]
    head.update(wrong)
    return compact(head).encode() + b"\n" + (text or b"") + b"".join(data for _, _, data in listed)


TEXTS = {
    "a letter": b"x",
    "CR, LF and both": b"\r\n\n\r one\rtwo\nthree\r\n",
    "a byte order mark first, and one later": "\ufeffa\ufeff".encode(),
    "a byte order mark alone": "\ufeff".encode(),
    "a lone NUL": b"\0",
    "blanks at both ends": b" \t x \n",
    "what looks like a file list": b'{"files":[]}\n',
    "letters of many scripts": "Zażółć Роман 秘密 \U0001f5dd\ufe0f e\u0301 \u202eabc\u202c".encode(),
    "a long one": b"0123456789abcdef" * 256,
}
ALL_BYTES = bytes(range(256))
LISTS = {
    "one file": ([("a.bin", "application/octet-stream", ALL_BYTES)], None),
    "text and two files": ([("a.txt", "text/plain", b"\xef\xbb\xbf1\r\n"), ("b", "", b"\n\n{}")], "\ufeffwith\r\ntext\n".encode()),
    "an empty file": ([("empty", "", b"")], None),
    "empty text": ([("a", "", b"1")], b""),
    "no file": ([], b"text"),
    "names of strangers": (
        [(name, "text/html", name.encode()) for name in ['"quoted" \'too\'', "%22%0d%0a", "../../etc/passwd", "..\\x", "invoice\u202efdp.exe", "\u2066a\u2069", "CON", ".", "", "new\nline\0"]],
        None,
    ),
}

KID, KID_D = OCT.thumbprint(), PRIVATE.thumbprint()
KEYS = [("dir", K, KID), ("ECDH-ES", D, KID_D)]
HEAD = {"alg": "dir", "enc": "A256GCM", "kid": KID}


def opens():
    for alg, _, _ in KEYS:
        for title, text in TEXTS.items():
            yield {"title": title, "alg": alg, "jwe": seal(text, alg), "text": b64(text)}
        for title, (files, text) in LISTS.items():
            listed = [{"name": name, "type": kind, "bytes": b64(data)} for name, kind, data in files]
            content = {"files": listed} if text is None else {"text": b64(text), "files": listed}
            yield {"title": title, "alg": alg, "jwe": seal(pack(files, text), alg, cty=FILES), **content}
    other_order = '{ "kid": "%s",\n"enc":"A256GCM", "alg" : "dir" }' % KID
    yield {"title": "a header in another order, with blanks", "alg": "dir", "jwe": seal_by_hand(b"x", other_order, K), "text": b64(b"x")}


P = 2**255 - 19
LOW_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
    P,
    P + 1,
]


def low_order():
    """Points whose product with any private key is zero, each one also with the unused highest bit set."""
    for point in LOW_ORDER:
        for value in (point, point + 2**255):
            yield b64(value.to_bytes(32, "little"))


def refused():
    for x in low_order():
        header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": KID_D, "epk": {"kty": "OKP", "crv": "X25519", "x": x}}
        yield "a low-order epk: " + x, "ECDH-ES", seal_by_hand(b"x", header, concat_kdf(bytes(32)))
    for title, more in {
        "zip": {"zip": "DEF"},
        "crit": {"crit": []},
        "typ": {"typ": "JWE"},
        "epk beside dir": {"epk": {"kty": "OKP", "crv": "X25519", "x": X}},
        "an unknown cty": {"cty": "text/plain"},
        "an empty cty": {"cty": ""},
        "a kid of another key": {"kid": KID_D},
        "an enc of null": {"enc": None},
        "another enc": {"enc": "A128GCM"},
        "another alg": {"alg": "A256GCMKW"},
        "a prototype": {"__proto__": {}},
    }.items():
        yield "a header with " + title, "dir", seal_by_hand(b"x", {**HEAD, **more}, K)
    yield "a header without kid", "dir", seal_by_hand(b"x", {"alg": "dir", "enc": "A256GCM"}, K)
    yield "a header that is a list", "dir", seal_by_hand(b"x", [HEAD], K)
    yield "a header that is no JSON", "dir", seal_by_hand(b"x", "alg", K)
    good = seal(b"xx", "dir").split(".")
    yield "an encrypted key beside dir", "dir", seal_by_hand(b"x", HEAD, K, between="AA")
    yield "an iv of 16 bytes", "dir", seal_by_hand(b"x", HEAD, K, iv=bytes(16))
    yield "a short tag", "dir", ".".join(good[:4] + [b64(base64.urlsafe_b64decode(good[4] + "==")[:12])])
    yield "four parts", "dir", ".".join(good[:4])
    yield "six parts", "dir", ".".join(good + [""])
    yield "a line end after it", "dir", ".".join(good) + "\n"
    yield "padding", "dir", ".".join(good[:4] + [good[4] + "=="])
    for part, name in ((3, "ciphertext"), (4, "tag")):
        last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        spare = last[last.index(good[part][-1]) + 1]
        yield "spare bits in the " + name, "dir", ".".join(good[:part] + [good[part][:-1] + spare] + good[part + 1 :])
    yield "a changed ciphertext", "dir", ".".join(good[:3] + ["AAA" if good[3] != "AAA" else "AAE"] + good[4:])
    yield "text that is not UTF-8", "dir", seal(b"\xff", "dir")
    yield "text with half a surrogate pair", "dir", seal(b"\xed\xa0\x80", "dir")
    x = ("x", "", b"1")
    for title, plaintext in {
        "no line end": b'{"files":[]}',
        "no list": pack([], b"", files=None),
        "bytes too many": pack([x]) + b"2",
        "bytes too few": pack([x])[:-1],
        "a negative length": pack([], b"12", text=3, files=[{"name": "x", "type": "", "bytes": -1}]),
        "half a byte": pack([], b"1", text=0.5, files=[{"name": "x", "type": "", "bytes": 0.5}]),
        "a length in quotes": pack([], b"1", text="1"),
        "no name": pack([], b"1", files=[{"type": "", "bytes": 1}]),
        "a type that is no text": pack([], b"1", files=[{"name": "x", "type": 1, "bytes": 1}]),
        "text that is not UTF-8": pack([x], b"\xff"),
    }.items():
        yield "files with " + title, "dir", seal(plaintext, "dir", cty=FILES)


print(
    json.dumps(
        {
            "source": "Made by test/vectors/make.py with jwcrypto 1.6.1 (RFC 7516, RFC 7518, RFC 7638, RFC 8037).",
            "keys": [
                {"alg": alg, "fragment": b64(key), "kid": kid, "proof": b64(proof_of(key)), "proofHash": b64(hashlib.sha256(proof_of(key)).digest())}
                for alg, key, kid in KEYS
            ],
            "x": X,
            "lowOrder": list(low_order()),
            "opens": list(opens()),
            "refused": [{"title": title, "alg": alg, "jwe": token} for title, alg, token in refused()],
        },
        indent=2,
    )
)
