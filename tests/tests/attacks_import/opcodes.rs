//! Every opcode of the allow-list, one small program each.

use golf_core::import::Limits;
use golf_core::import::pickle::{Element, Value, load};

use super::torch_file::Pickle;

fn run(program: Pickle) -> Value {
    load(&program.stop(), &Limits::default()).unwrap()
}

fn text(s: &str) -> Value {
    Value::Str(s.into())
}

#[test]
fn scalars_load() {
    let cases: [(&[u8], Value); 16] = [
        (b"N", Value::None),
        (&[0x88], Value::Bool(true)),
        (&[0x89], Value::Bool(false)),
        (b"K\xff", Value::Int(255)),
        (b"M\x00\x01", Value::Int(256)),
        (b"J\xff\xff\xff\xff", Value::Int(-1)),
        (b"J\x00\x00\x01\x00", Value::Int(65_536)),
        (&[0x8a, 0], Value::Int(0)),
        (&[0x8a, 1, 0xff], Value::Int(-1)),
        (&[0x8a, 2, 0xff, 0], Value::Int(255)),
        (&[0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0x80], Value::Int(i64::MIN)),
        (b"G\x3f\xf8\x00\x00\x00\x00\x00\x00", Value::Float(1.5)),
        (b"X\x03\x00\x00\x00a\xc3\xa9", text("aé")),
        (b")", Value::Tuple(vec![])),
        (b"]", Value::List(vec![])),
        (b"}", Value::Dict(vec![])),
    ];
    for (program, expected) in cases {
        assert_eq!(run(Pickle::new().raw(program)), expected, "{program:02x?}");
    }
}

#[test]
fn tuples_take_their_items_in_order() {
    let items = |n: i64| Value::Tuple((1..=n).map(Value::Int).collect());
    let three = || Pickle::new().int(1).int(2).int(3);
    assert_eq!(run(Pickle::new().int(1).raw(&[0x85])), items(1));
    assert_eq!(run(Pickle::new().int(1).int(2).raw(&[0x86])), items(2));
    assert_eq!(run(three().raw(&[0x87])), items(3));
    assert_eq!(run(Pickle::new().ints(&[1, 2, 3, 4])), items(4));
}

#[test]
fn containers_fill_one_by_one_and_in_bulk() {
    let list = Value::List(vec![Value::Int(1), Value::Int(2), Value::Int(3)]);
    assert_eq!(run(Pickle::new().raw(b"]").int(1).raw(b"a(").int(2).int(3).raw(b"e")), list);
    let dict = Value::Dict(vec![
        ("a".into(), Value::Int(1)),
        ("b".into(), Value::None),
        ("c".into(), Value::Int(3)),
    ]);
    let program =
        Pickle::new().raw(b"}").str("a").int(1).raw(b"s(").str("b").raw(b"N").str("c").int(3).raw(b"u");
    assert_eq!(run(program), dict);
}

#[test]
fn memo_slots_share_objects_even_after_they_were_stored() {
    // The inner list is stored empty, placed twice, and filled through the memo afterwards.
    let short = Pickle::new().raw(b"]]q\x01ah\x01a");
    assert_eq!(run(short), Value::List(vec![Value::List(vec![]), Value::List(vec![])]));
    let long = Pickle::new().str("x").raw(b"r\x03\0\0\0").raw(b"j\x03\0\0\0").raw(&[0x86]);
    assert_eq!(run(long), Value::Tuple(vec![text("x"), text("x")]));
    let filled = Pickle::new().raw(b"]q\x00(").raw(b"h\x00").int(7).raw(b"at").raw(&[0x86]);
    let seven = Value::List(vec![Value::Int(7)]);
    assert_eq!(run(filled), Value::Tuple(vec![seven.clone(), Value::Tuple(vec![seven])]));
}

#[test]
fn the_two_callables_and_the_metadata_build_load() {
    let program = Pickle::new()
        .ordered_dict()
        .raw(b"(")
        .str("w")
        .tensor("HalfStorage", "0", 12, 2, &[2, 3], &[4, 1])
        .raw(b"u}")
        .str("_metadata")
        .ordered_dict()
        .str("version")
        .int(1)
        .raw(b"ssb");
    let Value::Dict(items) = run(program) else { panic!("expected a dict") };
    let [(name, Value::Tensor(tensor))] = items.as_slice() else {
        panic!("expected one tensor, got {items:?}")
    };
    assert_eq!(name, "w");
    assert_eq!(
        (tensor.storage.key.as_str(), tensor.storage.element, tensor.storage.numel),
        ("0", Element::F16, 12)
    );
    assert_eq!(
        (tensor.offset, tensor.shape.as_slice(), tensor.stride.as_slice()),
        (2, &[2, 3][..], &[4, 1][..])
    );
}

#[test]
fn every_storage_type_is_known_by_name() {
    for (kind, element, bytes) in [
        ("HalfStorage", Element::F16, 2),
        ("BFloat16Storage", Element::BF16, 2),
        ("FloatStorage", Element::F32, 4),
        ("CharStorage", Element::I8, 1),
        ("ByteStorage", Element::U8, 1),
        ("ShortStorage", Element::I16, 2),
        ("IntStorage", Element::I32, 4),
        ("LongStorage", Element::I64, 8),
        ("BoolStorage", Element::Bool, 1),
    ] {
        let Value::Tensor(tensor) = run(Pickle::new().tensor(kind, "k", 1, 0, &[], &[])) else {
            panic!("{kind}")
        };
        assert_eq!((tensor.storage.element, tensor.storage.element.bytes()), (element, bytes), "{kind}");
    }
}
