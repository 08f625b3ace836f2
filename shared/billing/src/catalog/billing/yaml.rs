//! A YAML document as a tree that knows where everything stands. Scalars stay the texts that they are in the document.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::problem::{Mark, Problem};

/// More levels than any catalog has; what is deeper is refused before it can exhaust the stack.
const DEEPEST: usize = 40;
/// More nodes than any catalog has, those that aliases repeat among them.
const MOST_NODES: usize = 2_000_000;

/// One node and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `~`, `null` or nothing at all.
    Null,
    /// A text, number or boolean, as it is written; a quoted one cannot be a boolean.
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) node: Node,
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }

    /// The same as JSON: a number keeps its digits.
    pub(super) fn into_json(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Scalar { text, quoted: false } => match (text.as_str(), text.parse::<serde_json::Number>())
            {
                ("true", _) => true.into(),
                ("false", _) => false.into(),
                (_, Ok(number)) => serde_json::Value::Number(number),
                (_, Err(_)) => text.into(),
            },
            Self::Scalar { text, quoted: true } => text.into(),
            Self::List(items) => items.into_iter().map(|item| item.value.into_json()).collect(),
            Self::Map(entries) => {
                entries.into_iter().map(|entry| (entry.key, entry.node.value.into_json())).collect()
            }
        }
    }
}

/// How much a node holds.
#[derive(Clone, Copy, Default)]
struct Extent {
    /// Nodes; a long text counts as several.
    nodes: usize,
    /// Levels.
    depth: usize,
}

/// What is being read: the value of a collection that is not complete yet.
struct Open {
    anchor: usize,
    node: Node,
    key: Option<(String, Mark)>,
    extent: Extent,
}

struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Extent)>,
    root: Option<Node>,
    nodes: usize,
}

/// Reads a document; `None` if it is empty.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Node>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let lines = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Problem::new(Mark { line: lines + 1, column: 1 }, "", "the document is not UTF-8, save it as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder { open: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0 };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| scan_problem(&error))?;
        builder.event(event, mark(span.start))?;
    }
    Ok(builder.root.filter(|root| !matches!(root.value, Value::Null)))
}

fn mark(marker: Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() + 1 }
}

fn scan_problem(error: &ScanError) -> Problem {
    Problem::new(mark(*error.marker()), "", format!("this is no YAML: {}", error.info()))
}

impl Builder {
    fn event(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let extent = Extent { nodes: 1 + text.len() / 64, depth: 1 };
                let value = if null {
                    Value::Null
                } else {
                    Value::Scalar { text: text.into_owned(), quoted: !plain }
                };
                self.count(extent.nodes, mark)?;
                self.complete(Node { mark, value }, anchor, extent)
            }
            Event::SequenceStart(anchor, _) => self.start(Value::List(Vec::new()), anchor, mark),
            Event::MappingStart(anchor, _) => self.start(Value::Map(Vec::new()), anchor, mark),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { anchor, node, extent: Extent { nodes, depth }, .. }) => {
                    self.complete(node, anchor, Extent { nodes: nodes + 1, depth: depth + 1 })
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).map(|(_, extent)| *extent);
                let Some(extent) = known else {
                    return Err(Problem::new(mark, "", "this alias has no complete anchor before it"));
                };
                self.count(extent.nodes, mark)?;
                self.check_depth(extent.depth, mark)?;
                let value = self.anchors.get(&anchor).map(|(node, _)| node.value.clone());
                self.complete(Node { mark, value: value.unwrap_or(Value::Null) }, 0, extent)
            }
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Problem::new(mark, "", "a catalog is one document, remove the second one"))
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, value: Value, anchor: usize, mark: Mark) -> Result<(), Problem> {
        self.check_depth(1, mark)?;
        self.count(1, mark)?;
        self.open.push(Open { anchor, node: Node { mark, value }, key: None, extent: Extent::default() });
        Ok(())
    }

    fn check_depth(&self, more: usize, mark: Mark) -> Result<(), Problem> {
        if self.open.len() + more > DEEPEST {
            return Err(Problem::new(mark, "", format!("more than {DEEPEST} levels in each other")));
        }
        Ok(())
    }

    fn count(&mut self, more: usize, mark: Mark) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MOST_NODES {
            return Err(Problem::new(mark, "", "the document is too large, aliases counted in"));
        }
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn complete(&mut self, node: Node, anchor: usize, extent: Extent) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), extent));
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        open.extent.nodes = open.extent.nodes.saturating_add(extent.nodes);
        open.extent.depth = open.extent.depth.max(extent.depth);
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some((key, mark))) => entries.push(Entry { key, mark, node }),
            (Value::Map(_), None) => match node.value {
                Value::Scalar { text, .. } => open.key = Some((text, node.mark)),
                other => {
                    let why = format!("the name of a member is a text, here it is {}", other.kind());
                    return Err(Problem::new(node.mark, "", why));
                }
            },
            _ => {}
        }
        Ok(())
    }
}
