//! What is printed is read back as it was, for models made at random.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use repot_model::language::{
    Auth, Body, Collection, DefaultValue, Field, FieldKind, Format, InPlace, Index, Model, OnDelete, Place,
    Rate, Scalar, Span, Step, Written, parse, print_with_header,
};
use repot_model::place::Template;

/// Without spans and evidence.
pub(crate) fn bare(model: &Model) -> Model {
    let mut model = model.clone();
    for collection in &mut model.collections {
        collection.span = Span::default();
        for field in &mut collection.fields {
            field.span = Span::default();
            field.evidence = None;
        }
        for index in collection.index.iter_mut().chain(&mut collection.unique) {
            index.span = Span::default();
        }
    }
    model
}

fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[ -~]{0,8}",
        prop::sample::select(vec![
            "now",
            "today",
            "now on write",
            "null",
            "it's",
            "'",
            "",
            " x ",
            "a.b",
            "text",
            "é|ü",
            "a\nb\t\"\\",
            "=",
            "-> x",
            "#"
        ])
        .prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::Text(None)),
        (1_u32..9999).prop_map(|most| Scalar::Text(Some(most))),
        prop::sample::select(vec![
            Scalar::Int,
            Scalar::Float,
            Scalar::Decimal,
            Scalar::Bool,
            Scalar::Time,
            Scalar::Date,
            Scalar::Uuid,
            Scalar::Json,
            Scalar::Bytes
        ]),
    ]
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec(odd_text(), 1..5).prop_map(|mut words| {
        words.sort();
        words.dedup();
        words
    })
}

prop_compose! {
    fn plain_field()(
        kind in prop_oneof![
            4 => scalar().prop_map(FieldKind::Scalar),
            1 => scalar().prop_filter("no length in a list", |scalar| !matches!(scalar, Scalar::Text(Some(_)))).prop_map(FieldKind::List),
            2 => words().prop_map(FieldKind::Enum),
            1 => Just(FieldKind::Ref(vec!["c0".to_owned()])),
            1 => Just(FieldKind::Ref(vec!["c0".to_owned(), "lists".to_owned()])),
        ],
        optional in any::<bool>(),
        unique in any::<bool>(),
        on_delete in 0..3_u8,
        from in option::of(vec(odd_text(), 0..4)),
        was in option::of("old_[a-z]{1,4}"),
        default in any::<prop::sample::Index>(),
        constant in odd_text(),
        evidence in option::of("[ -~]{0,30}"),
    ) -> Field {
        let mut field = Field::new("", kind);
        let several = matches!(&field.kind, FieldKind::Ref(targets) if targets.len() > 1);
        field.optional = optional;
        field.unique = unique && !matches!(field.kind, FieldKind::List(_) | FieldKind::Scalar(Scalar::Json));
        if matches!(field.kind, FieldKind::Ref(_)) {
            field.on_delete = match on_delete {
                0 => OnDelete::Cascade,
                1 if optional => OnDelete::SetNull,
                _ => OnDelete::Refuse,
            };
        }
        field.from = from.filter(|_| !several);
        field.was = was;
        field.default = fitting(&field.kind, default.index(3), constant);
        field.evidence = evidence;
        field
    }
}

fn fitting(kind: &FieldKind, choice: usize, constant: String) -> Option<DefaultValue> {
    Some(match (kind, choice) {
        (_, 0) => return None,
        (FieldKind::Scalar(Scalar::Time), 1) => DefaultValue::Now,
        (FieldKind::Scalar(Scalar::Time), _) => DefaultValue::NowOnWrite,
        (FieldKind::Scalar(Scalar::Date), _) => DefaultValue::Today,
        (FieldKind::Scalar(Scalar::Text(None)), _) => DefaultValue::Constant(constant),
        (FieldKind::Scalar(Scalar::Int), _) => DefaultValue::Constant("-12".to_owned()),
        (FieldKind::Scalar(Scalar::Bool), _) => DefaultValue::Constant("true".to_owned()),
        (FieldKind::Scalar(Scalar::Decimal), _) => DefaultValue::Constant("1.50".to_owned()),
        (FieldKind::Scalar(Scalar::Json), _) => {
            DefaultValue::Constant("{\"a\": [1, 'x']}".replace('\'', "\""))
        }
        (FieldKind::Enum(words), _) => DefaultValue::Constant(words.first()?.clone()),
        _ => return None,
    })
}

fn named(mut fields: Vec<Field>, before: Vec<Field>) -> Vec<Field> {
    for (index, field) in fields.iter_mut().enumerate() {
        field.name = format!("f{index}");
    }
    let mut all = before;
    all.extend(fields);
    all
}

fn made_key() -> Field {
    let mut key = Field::new("id", FieldKind::Scalar(Scalar::Uuid));
    (key.key, key.auto) = (true, true);
    key
}

fn settings(collection: &mut Collection, on: u16, text: &str) {
    let life = |seconds: u64, text: &str| Some(Written { text: text.to_owned(), value: seconds });
    let set = |bit: u16| on & (1 << bit) != 0;
    if set(0) {
        collection.cache = life(300, "5m");
    }
    if set(1) {
        collection.mirror = life(7, "${SECONDS:-7}s");
    }
    if set(2) {
        collection.audit = life(31_536_000, "1y");
    }
    if set(3) {
        collection.soft_delete = life(2_592_000, "30d");
    }
    collection.watch = set(4);
    collection.etag_required = set(5);
    collection.refuse_unknown = set(6);
    if set(7) {
        collection.format = Some(Format::Json);
    }
    if set(8) {
        collection.index = vec![
            Index {
                name: Some("by_id".to_owned()),
                columns: vec![("id".to_owned(), true)],
                span: Span::default(),
            },
            Index { name: None, columns: vec![("id".to_owned(), false)], span: Span::default() },
        ];
    }
    if set(9) {
        let words = vec!["a".to_owned(), text.to_owned()];
        let changes = words.iter().map(|word| (word.clone(), words.clone())).collect();
        collection.fields.push(Field::new("state", FieldKind::Enum(words)));
        collection.transitions.insert("state".to_owned(), changes);
    }
}

prop_compose! {
    fn models()(
        first in vec(plain_field(), 0..6),
        listed in vec(plain_field(), 0..4),
        mapped in vec(plain_field(), 0..4),
        on in any::<u16>(),
        name in "[ -~é]{1,9}",
        word in "[ -~]{2,6}",
        limit in 1_u64..1000,
        table_first in any::<bool>(),
    ) -> Model {
        let mut model = Model::default();
        model.settings.source = Some(Written { text: "./data \"x\"".to_owned(), value: "./data \"x\"".to_owned() });
        model.settings.limits.insert(name.clone(), Written { text: format!("{limit} per hour"), value: Rate { count: limit, per_seconds: 3600 } });
        let written = |text: &str| Some(Written { text: text.to_owned(), value: text.to_owned() });
        model.settings.auth = table_first.then(|| Auth { jwks: written("keys \"x\".json"), audience: written("repot"), rights: written("read write"), ..Auth::default() });
        let template = Template::parse("a {{b}}/{id}.json").expect("a template");
        let mut root = Collection::new("c0", Place::Files(vec![template]));
        root.fields = named(first, vec![made_key()]);
        settings(&mut root, on, &word);
        let mut parent = Field::new("parent_id", FieldKind::Ref(vec!["c0".to_owned()]));
        (parent.auto, parent.on_delete) = (true, OnDelete::Cascade);
        let steps = vec![Step::Name(name.clone()), Step::Each];
        let mut lists = Collection::new("lists", Place::In(vec![InPlace { parent: "c0".to_owned(), steps }]));
        lists.fields = named(listed, vec![made_key(), parent.clone(), Field::new("position", FieldKind::Position)]);
        let keys = vec![Step::Name("m".to_owned()), Step::Entry("k1".to_owned()), Step::Name(name), Step::Entry("k2".to_owned())];
        let mut maps = Collection::new("maps", Place::In(vec![InPlace { parent: "c0".to_owned(), steps: keys }]));
        let entry = |name: &str| Field::new(name, FieldKind::Scalar(Scalar::Text(None)));
        maps.fields = named(mapped, vec![parent, entry("k1"), entry("k2")]);
        let mut body = Collection::new("bodies", Place::Files(vec![Template::parse("b/{path...}").expect("a template")]));
        body.fields = vec![made_key(), entry("path"), Field::new("content", FieldKind::Body(Body::Bytes))];
        model.collections = if table_first { vec![body, maps, root, lists] } else { vec![root, lists, maps, body] };
        model
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_model_is_read_back(model in models()) {
        let printed = print_with_header(&model, "Looked at 3 files\nin ./data");
        let again = parse(&printed, "repot.toml", &|_| None);
        let again = again.map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{printed}")))?;
        prop_assert_eq!(bare(&again), bare(&model), "{}", printed);
    }
}

#[test]
fn evidence_stands_aligned_behind_the_fields() {
    let mut collection = Collection::new(
        "conversations",
        Place::Files(vec![Template::parse("{user_id}/{id}.json").expect("a template")]),
    );
    let field = |name: &str, kind: FieldKind, evidence: &str| {
        let mut field = Field::new(name, kind);
        field.evidence = Some(evidence.to_owned());
        field
    };
    let mut key = field("id", FieldKind::Scalar(Scalar::Uuid), "41 of 41, all different, also in the path");
    key.key = true;
    collection.fields = vec![
        key,
        field("user_id", FieldKind::Scalar(Scalar::Text(None)), "41 of 41;\nequals the folder"),
        Field::new("pinned", FieldKind::Scalar(Scalar::Bool)),
    ];
    let model = Model { collections: vec![collection], ..Model::default() };
    insta::assert_snapshot!(print_with_header(&model, "44 files"), @r#"
    #:schema https://repot.dev/model.json
    # 44 files

    [conversations]
    file = "{user_id}/{id}.json"

    [conversations.fields]
    id      = "uuid key"   # 41 of 41, all different, also in the path
    user_id = "text"       # 41 of 41; equals the folder
    pinned  = "bool"
    "#);
}
