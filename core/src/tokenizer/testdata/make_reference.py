"""Makes the models and reference.json in this folder with the reference implementation.

    pip install sentencepiece==0.2.3 protobuf && python make_reference.py

The training text is synthetic, so the models are our own; they differ in every option that changes ids.
"""

import io
import json
import pathlib
import random
import unicodedata

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

HERE = pathlib.Path(__file__).parent
NORMAL, UNUSED = 1, 5
random.seed(7)

CONSONANTS = "b c d f g h k l m n p r s t v w st tr sh th".split()
VOWELS = "a e i o u ee ou é".split()
LEXICON = [
    "".join(random.choice(CONSONANTS) + random.choice(VOWELS) for _ in range(random.choice([1, 1, 2, 2, 3])))
    for _ in range(260)
]


def sentence():
    words = random.choices(LEXICON, [1 / (i + 1) for i in range(len(LEXICON))], k=random.randrange(3, 14))
    if random.random() < 0.3:
        words[0] = words[0].capitalize()
    if random.random() < 0.3:
        words.insert(random.randrange(len(words)), str(random.randrange(3000)))
    if random.random() < 0.05:
        words.insert(1, random.choice(["ﬁ", "Ａ", "가", "日本", "😀", "→"]))
    return " ".join(words) + random.choice("..,!?;")


def own_rules():
    """A slice of NFKC with spelled-out composites, deletions, spaces and rules over several characters."""
    ranges = [(0xA0, 0x250), (0x1E00, 0x1E40), (0xFF01, 0xFF60), (0xAC00, 0xAC20)]
    codes = [c for first, end in ranges for c in range(first, end)]
    rules = {}
    for c in map(chr, codes + [0x212B, 0xFB01, 0xFB03, 0x3000, 0x2460, 0x2026]):
        composed, parts = unicodedata.normalize("NFKC", c), unicodedata.normalize("NFD", c)
        if composed != c:
            rules[c] = composed
        elif len(parts) > 1:
            rules[parts] = c
            if "!" <= parts[0] <= "~":
                rules[chr(0xFEE0 + ord(parts[0])) + parts[1:]] = c
    rules |= dict.fromkeys("\x01\x02\x7f\u200b\u2060", "") | dict.fromkeys("\t\n\r\u2028", " ")
    return rules | {"colour": "color", "  .": ".", "(c)": "©"}


def save(name, model):
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    (HERE / f"{name}.model").write_bytes(model.SerializeToString())


def train(name, corpus, **options):
    file = io.BytesIO()
    defaults = dict(model_type="bpe", character_coverage=0.999, normalization_rule_name="identity")
    ids = dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, num_threads=1, minloglevel=2)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=file, **(defaults | ids | options)
    )
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(file.getvalue())
    save(name, model)
    return model


def make_models():
    corpus = [sentence() for _ in range(4000)] + ["a  b   c    d"] * 60
    keep = dict(remove_extra_whitespaces=False)
    train("dummy_bytes", corpus, vocab_size=420, byte_fallback=True)
    plain = train("plain_unk", corpus, vocab_size=220, add_dummy_prefix=False, **keep)
    symbols = ["<sep>", "▁▁", "<se", "\ue001", "sh▁", "foo bar"]
    control = ["<ctl>", "<x>"]
    train("user_symbols", corpus, vocab_size=460, byte_fallback=True, user_defined_symbols=symbols,
          control_symbols=control, **keep)
    train("suffix_unk", corpus, vocab_size=230, treat_whitespace_as_suffix=True)
    train("suffix_bytes_spaces", corpus, vocab_size=440, treat_whitespace_as_suffix=True, byte_fallback=True,
          allow_whitespace_only_pieces=True, **keep)
    train("phrases", corpus, vocab_size=300, split_by_whitespace=False, allow_whitespace_only_pieces=True,
          unk_surface="<?>", **keep)
    hexes = lambda text: " ".join(f"{ord(c):X}" for c in text)
    tsv = HERE / "rules.tsv"
    tsv.write_text("".join(f"{hexes(k)}\t{hexes(v)}\n" for k, v in sorted(own_rules().items())))
    train("own_rules", corpus, vocab_size=440, byte_fallback=True, normalization_rule_tsv=str(tsv))
    tsv.unlink()
    normal = [i for i, piece in enumerate(plain.pieces) if piece.type == NORMAL]
    patched = type(plain)()
    patched.CopyFrom(plain)
    for i in normal[3:60:3] + normal[-5:-4]:
        patched.pieces[i].type = UNUSED
    for i in normal[10:50]:
        patched.pieces[i].score = -10.0
    save("unused_ties", patched)
    patched.CopyFrom(plain)
    patched.normalizer_spec.escape_whitespaces = False
    for piece in patched.pieces:
        piece.piece = piece.piece.replace("▁", " ") if piece.piece != "▁a" else piece.piece
    save("unescaped", patched)


def texts():
    odd = [
        "", " ", "   ", "a", " a", "a ", "  a   b  ", "\t", "a\tb\r\nc\n\nd", "\0", "x\0y", "\x01\x02a", "\u200b a",
        "a\u200d\u0628", "e\u0301e\u0302\u0301", "Ａ\u0300 É", "\u05e9\u05dc\u05d5\u05dd \u05e2",
        "\u0645\u0631\u062d\u0628\u0627", "👨\u200d👩\u200d👧 🇫🇷", "\ud7ff\ue000\U0010ffff", "Ｆｕｌｌ　ｗｉｄｔｈ",
        "ﬁﬃ office", "\u1100\u1161\u11a8 각 가\u11a8", "▁", "▁▁ ▁a", "a▁b▁", "\ufffd x \ufffe", "\ufeffbom",
        "<sep>a<se b<sepp", "<ctl><x></s><s><unk><pad>", "<0x41><0xFF>", "foo bar foo  bar", "\ue001 sh the sh▁",
        "colour (c)  . …", "½ ① Å", "日本語 テスト", "éou shou", "1234 5", "a  b   c    d", "\u2028\u2029\u0085\u00a0",
        "…,;!?", "\u00ad\u0345", "😀😀ab😀", "→",
    ]
    return odd + [sentence() for _ in range(22)] + [" ".join(sentence() for _ in range(3)).replace(" ", "  ", 2)]


def main():
    make_models()
    inputs = texts()
    models = {}
    for path in sorted(HERE.glob("*.model")):
        sp = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
        everything = list(range(len(sp)))
        spaces = [i for i in everything if sp.id_to_piece(i).startswith(("▁", " "))]
        pools = [[i for i in everything if sp.is_byte(i)] or spaces, spaces, everything[:4], everything]
        lists = [[random.choice(random.choice(pools)) for _ in range(random.randrange(1, 8))] for _ in range(30)]
        ids = [sp.encode(text) for text in inputs]
        models[path.stem] = {
            "ids": ids,
            "normalized": [sp.normalize(text) for text in inputs],
            "decoded": [sp.decode(i) for i in ids],
            "id_lists": lists,
            "id_texts": [sp.decode(i) for i in lists],
        }
    rows = [f'"{name}":{json.dumps(row, separators=(",", ":"))}' for name, row in models.items()]
    (HERE / "reference.json").write_text(
        '{"texts":' + json.dumps(inputs, separators=(",", ":")) + ',\n"models":{\n' + ",\n".join(rows) + "\n}}\n"
    )


main()
