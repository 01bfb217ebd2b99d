import Foundation

/// Delays between attempts to reconnect: they double from the first to the longest and are shortened by
/// chance, so that the clients of a restarted gateway do not come back in one instant.
public struct GatewayBackoff: Sendable {
    /// Delay before the first attempt.
    public var first: Duration
    /// No delay is longer.
    public var longest: Duration
    /// Largest part of a delay that chance may take away, from 0 to 1.
    public var jitter: Double
    /// Gives numbers from 0 up to, but not including, 1.
    public var chance: @Sendable () -> Double

    /// From one second to half a minute, as the original client (contract 12), less up to a half.
    public init(
        first: Duration = .seconds(1),
        longest: Duration = .seconds(30),
        jitter: Double = 0.5,
        chance: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.first = first
        self.longest = longest
        self.jitter = jitter
        self.chance = chance
    }

    /// The delay before attempt `attempt`, counted from 0 at each loss of the connection.
    public func delay(before attempt: Int) -> Duration {
        var (delay, doublings) = (first, attempt)
        while doublings > 0, delay < longest {
            delay *= 2
            doublings -= 1
        }
        let part = 1 - min(max(jitter, 0), 1) * min(max(chance(), 0), 1)
        return min(delay, longest) * part
    }
}

/// What to do when an established connection is lost.
public enum GatewayReconnect: Sendable {
    /// Nothing: the client is closed then.
    case never
    /// Try again for ever, but give up when the gateway refuses for good, as it does when a token is wrong
    /// or the device is not paired any more.
    case unlessRefused(GatewayBackoff)
    /// Try again for ever, whatever the gateway says: the device may be paired again.
    case always(GatewayBackoff)
}
