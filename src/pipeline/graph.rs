//! The graph of a pipeline: events and tasks, barriers between them; as text, as Graphviz, and for a dry run.

use super::manifest::{Manifest, Rule};
use crate::plot;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What a node is; one letter shape each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Event,
    Task,
    Barrier,
}

/// A node of the graph, named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    pub kind: Kind,
    pub name: String,
}

/// Indices of nodes: from, to, and what is said at the arrow.
pub type Edge = (usize, usize, String);

/// Who leads to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

impl Graph {
    pub fn of(manifest: &Manifest) -> Graph {
        let mut graph = Graph { nodes: Vec::new(), edges: Vec::new() };
        for event in &manifest.events {
            graph.node(Kind::Event, event);
        }
        for task in &manifest.tasks {
            let to = graph.node(Kind::Task, &task.name);
            for on in &task.on {
                let from = graph.node(Kind::Event, &on.event);
                let matches = on.matches.as_object().filter(|m| !m.is_empty()).map_or(String::new(), |_| on.matches.to_string());
                graph.edges.push((from, to, matches));
                for end in [".completed", ".failed"] {
                    if let Some(earlier) = on.event.strip_suffix(end).filter(|name| manifest.task(name).is_some()) {
                        let earlier = graph.node(Kind::Task, earlier);
                        graph.edges.push((earlier, from, String::new()));
                    }
                }
            }
            for event in task.spec.emits.iter().chain(&task.spec.then) {
                let event = graph.node(Kind::Event, event);
                graph.edges.push((to, event, String::new()));
            }
        }
        for barrier in &manifest.barriers {
            let at = graph.node(Kind::Barrier, &barrier.name);
            let rule = match barrier.rule {
                Rule::All => "all".to_owned(),
                Rule::K(k) => format!("{k} of them"),
                Rule::Fraction(fraction) => format!("{} % of them", fraction * 100.0),
            };
            for task in &barrier.over {
                let task = graph.node(Kind::Task, task);
                graph.edges.push((task, at, rule.clone()));
            }
            for task in &barrier.opened_by {
                let task = graph.node(Kind::Task, task);
                graph.edges.push((task, at, "opens".into()));
            }
            let event = graph.node(Kind::Event, &barrier.emit);
            graph.edges.push((at, event, String::new()));
        }
        graph
    }

    fn node(&mut self, kind: Kind, name: &str) -> usize {
        let found = self.nodes.iter().position(|node| node.kind == kind && node.name == name);
        found.unwrap_or_else(|| {
            self.nodes.push(Node { kind, name: name.to_owned() });
            self.nodes.len() - 1
        })
    }

    /// The layer of each node: one more than the deepest before it; arrows that lead back to an earlier node (loops) do not count.
    pub fn layers(&self) -> Vec<usize> {
        let mut layers = vec![0; self.nodes.len()];
        let back = self.back_edges();
        // the longest path has fewer arrows than there are nodes
        for _ in 0..self.nodes.len() {
            for (i, (from, to, _)) in self.edges.iter().enumerate() {
                if !back.contains(&i) {
                    layers[*to] = layers[*to].max(layers[*from] + 1);
                }
            }
        }
        layers
    }

    /// Arrows that close a loop, by depth-first search.
    pub fn back_edges(&self) -> BTreeSet<usize> {
        fn visit(graph: &Graph, node: usize, state: &mut [u8], back: &mut BTreeSet<usize>) {
            state[node] = 1;
            for (i, (_, to, _)) in graph.edges.iter().enumerate().filter(|(_, (from, ..))| *from == node) {
                match state[*to] {
                    0 => visit(graph, *to, state, back),
                    1 => drop(back.insert(i)),
                    _ => {}
                }
            }
            state[node] = 2;
        }
        let (mut state, mut back) = (vec![0; self.nodes.len()], BTreeSet::new());
        for node in 0..self.nodes.len() {
            if state[node] == 0 {
                visit(self, node, &mut state, &mut back);
            }
        }
        back
    }

    /// The language of Graphviz.
    pub fn dot(&self) -> String {
        let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut text = String::from("digraph pipeline {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
        for (i, node) in self.nodes.iter().enumerate() {
            let shape = match node.kind {
                Kind::Event => "ellipse",
                Kind::Task => "box",
                Kind::Barrier => "hexagon",
            };
            let _ = writeln!(text, "  n{i} [label={}, shape={shape}];", quote(&node.name)); // to a String: cannot fail
        }
        for (from, to, label) in &self.edges {
            let _ = writeln!(text, "  n{from} -> n{to} [label={}];", quote(label));
        }
        text + "}\n"
    }

    /// A picture, as PNG.
    pub fn png(&self) -> Result<Vec<u8>, plot::Error> {
        let layers = self.layers();
        let shape = |kind| match kind {
            Kind::Event => plot::graph::Shape::Text,
            Kind::Task => plot::graph::Shape::Box,
            Kind::Barrier => plot::graph::Shape::Diamond,
        };
        let node = |(node, layer): (&Node, &usize)| plot::graph::Node { layer: *layer, shape: shape(node.kind), label: node.name.clone() };
        let nodes: Vec<plot::graph::Node> = self.nodes.iter().zip(&layers).map(node).collect();
        plot::graph(&nodes, &self.edges)
    }

    /// One line a task: what starts it, what it tells; in the order in which they can run.
    pub fn text(&self, manifest: &Manifest) -> String {
        let layers = self.layers();
        let mut order: Vec<usize> = (0..self.nodes.len()).filter(|i| self.nodes[*i].kind != Kind::Event).collect();
        order.sort_by_key(|i| (layers[*i], *i));
        let width = order.iter().map(|i| self.nodes[*i].name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for i in order {
            let node = &self.nodes[i];
            let names = |pick: &dyn Fn(&Edge) -> Option<usize>| {
                self.edges.iter().filter_map(pick).map(|n| self.nodes[n].name.as_str()).collect::<Vec<_>>().join(", ")
            };
            let before = names(&|(from, to, _)| (*to == i).then_some(*from));
            let after = names(&|(from, to, _)| (*from == i && self.nodes[*to].kind == Kind::Event).then_some(*to));
            let kind = if node.kind == Kind::Barrier { "barrier" } else { "task" };
            let arrow = if after.is_empty() { String::new() } else { format!(" -> {after}") };
            let _ = writeln!(text, "{kind:<7} {:width$}  {before}{arrow}", node.name);
            if let Some(task) = manifest.task(&node.name).filter(|_| node.kind == Kind::Task) {
                let _ = writeln!(text, "        {:width$}  {}", "", task.spec.argv.join(" "));
            }
        }
        text
    }
}
