/// Namespace of the protocol's types.
///
/// The names inside are those of the schema. They are not at the top level, so that this module and
/// `OpenClawProtocol` can be imported side by side.
public enum Gateway {}
