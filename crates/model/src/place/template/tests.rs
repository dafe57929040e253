use super::Template;

#[test]
fn prefix_suffix_and_order() {
    let template = Template::parse("a/{x}/b.json").expect("a template");
    assert_eq!((template.prefix(), template.suffix()), ("a/", "/b.json"));
    let free = Template::parse("{x}").expect("a template");
    assert_eq!((free.prefix(), free.suffix()), ("", ""));
    assert!(template.specificity(&free).is_lt() && free.specificity(&template).is_gt());
    assert_eq!(template.to_string(), "a/{x}/b.json");
}
