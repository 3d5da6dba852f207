use proptest::prelude::*;

use super::*;

const A: &str = "{aaaaaaaa-0000-0000-0000-000000000001}";
const B: &str = "{aaaaaaaa-0000-0000-0000-000000000002}";
const C: &str = "{aaaaaaaa-0000-0000-0000-000000000003}";
const D: &str = "{aaaaaaaa-0000-0000-0000-000000000004}";

/// As the original's vzctl writes one: two of them made of the first.
const GENUINE: &str = r#"<?xml version="1.0"?>
<ParallelsSavedStates>
  <SavedStateItem guid="">
    <Name/>
    <DateTime/>
    <Creator/>
    <ScreenShot/>
    <Description/>
    <SavedStateItem guid="{aaaaaaaa-0000-0000-0000-000000000001}">
      <Name>first &amp; &lt;best&gt;</Name>
      <DateTime>2014-05-20 19:00:00</DateTime>
      <Creator/>
      <ScreenShot/>
      <Description><![CDATA[a ]]]]><![CDATA[> b]]></Description>
      <SavedStateItem guid="{aaaaaaaa-0000-0000-0000-000000000002}">
        <Name/>
        <DateTime>2014-05-21 19:00:00</DateTime>
        <Creator/>
        <ScreenShot/>
        <Description><![CDATA[]]></Description>
      </SavedStateItem>
      <SavedStateItem guid="{aaaaaaaa-0000-0000-0000-000000000003}" current="yes">
        <Name/>
        <DateTime>2014-05-22 19:00:00</DateTime>
        <Creator/>
        <ScreenShot/>
        <Description><![CDATA[]]></Description>
      </SavedStateItem>
    </SavedStateItem>
  </SavedStateItem>
</ParallelsSavedStates>
"#;

fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn new(text: &str, name: &str, description: &str) -> Snapshot {
    Snapshot {
        id: id(text),
        parent: None,
        current: false,
        name: name.into(),
        date: "2014-05-20 19:00:00".into(),
        description: description.into(),
    }
}

/// Each with the one it was made of, the current one with a star.
fn shape(tree: &SnapshotTree) -> String {
    let letter = |id: &Uuid| match &id.to_string()[36..37] {
        "1" => 'A',
        "2" => 'B',
        "3" => 'C',
        _ => 'D',
    };
    let one = |item: &Snapshot| {
        let parent = item.parent.as_ref().map_or('-', letter);
        format!("{parent}{}{}", letter(&item.id), if item.current { "*" } else { "" })
    };
    tree.snapshots().iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_genuine_one_is_read_and_written() {
    let tree = SnapshotTree::parse(GENUINE.as_bytes()).unwrap();
    assert_eq!(shape(&tree), "-A AB AC*");
    let first = tree.find(&id(A)).unwrap();
    assert_eq!((first.name.as_str(), first.description.as_str()), ("first & <best>", "a ]]> b"));
    assert_eq!(tree.to_string(), GENUINE);
    let line: Vec<_> = tree.line_of(&id(C)).iter().map(|item| item.id.to_string()).collect();
    assert_eq!(line, [C, A]);
}

#[test]
fn they_are_added_and_removed() {
    let mut tree = SnapshotTree::default();
    assert_eq!(tree.to_string(), "<?xml version=\"1.0\"?>\n<ParallelsSavedStates/>\n");
    for text in [A, B] {
        tree.add(new(text, "", "")).unwrap();
    }
    tree.mark_current(Some(&id(A)));
    tree.add(new(C, "", "")).unwrap();
    tree.add(new(D, "", "")).unwrap();
    assert_eq!(shape(&tree), "-A AB AC CD*");
    assert_eq!(tree.add(new(D, "", "")), Err(AddError::Exists(id(D))));
    tree.remove(&id(D));
    assert_eq!(shape(&tree), "-A AB AC*");
    tree.remove(&id(A));
    assert_eq!(shape(&tree), "-B -C*");
    tree.remove(&id(C));
    assert_eq!(shape(&tree), "-B");
    let again = SnapshotTree::parse(tree.to_string().as_bytes()).unwrap();
    assert_eq!(again, tree);
    // One in the middle that is current: what was made of it goes to its parent.
    let mut tree = SnapshotTree::default();
    for text in [A, B, C] {
        tree.add(new(text, "", "")).unwrap();
    }
    tree.mark_current(Some(&id(B)));
    tree.remove(&id(B));
    assert_eq!(shape(&tree), "-A* AC");
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let mut tree = SnapshotTree::default();
    assert_eq!(tree.add(new(A, "a\u{1b}[2J", "")), Err(AddError::Character("name")));
    assert_eq!(tree.add(new(A, "", "\0")), Err(AddError::Character("description")));
    for number in 0..DEEPEST {
        tree.add(new(&format!("{{bbbbbbbb-0000-0000-0000-{number:012}}}"), "", "")).unwrap();
    }
    assert_eq!(tree.add(new(A, "", "")), Err(AddError::Deep));
    assert_eq!(SnapshotTree::parse(tree.to_string().as_bytes()).unwrap(), tree);
}

#[test]
fn odd_ones_are_refused() {
    for (from, to, why) in [
        (B, A, "guid is there twice"),
        (B, "", "bad value ''"),
        ("<?xml version=\"1.0\"?>", "<!DOCTYPE x [<!ENTITY e \"x\">]>", "document type"),
        ("&amp;", "&e;", "an entity"),
        ("<SavedStateItem guid=\"\">", "<SavedStateItem guid=\"x\">", "a snapshot there"),
        ("guid=\"\"", "x=\"\"", "a snapshot there"),
        ("</ParallelsSavedStates>", "", "XML"),
        ("ParallelsSavedStates", "Other", "is missing"),
    ] {
        let text = GENUINE.replace(from, to);
        let said = SnapshotTree::parse(text.as_bytes()).map(drop).unwrap_err().to_string();
        assert!(said.contains(why) || why == "XML" && said.contains("missing"), "{to}: {said}");
    }
}

proptest! {
    #[test]
    fn texts_come_back(name in "\\PC*", description in "[\\PC\n\t\\]>]*") {
        let mut tree = SnapshotTree::default();
        tree.add(new(A, &name, &description)).unwrap();
        prop_assert_eq!(SnapshotTree::parse(tree.to_string().as_bytes()).unwrap(), tree);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = SnapshotTree::parse(&bytes);
    }
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let mut tree = SnapshotTree::default();
    tree.add(new(A, "a", &"x".repeat(900_000))).unwrap();
    assert_eq!(SnapshotTree::parse(&tree.to_bytes().unwrap()).unwrap(), tree);
    tree.add(new(B, "b", &"&".repeat(200_000))).unwrap();
    assert!(matches!(tree.to_bytes(), Err(DescriptorError::Long)));
}
