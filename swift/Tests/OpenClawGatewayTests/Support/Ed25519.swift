import Foundation

@testable import OpenClawGateway

/// Signs with Ed25519 (RFC 8032, 5.1). For tests only: nothing in it is constant in time.
struct Ed25519 {
    let publicKey: Data
    private let scalar: [UInt8]
    private let prefix: Data

    init(seed: Data) {
        let hash = SHA2.sha512(seed)
        var scalar = [UInt8](hash.prefix(32))
        scalar[0] &= 0xf8
        scalar[31] = scalar[31] & 0x7f | 0x40
        self.scalar = scalar
        prefix = hash.suffix(32)
        publicKey = Point.base.times(scalar).encoded
    }

    func sign(_ message: Data) -> Data {
        let r = Order.reduce([UInt8](SHA2.sha512(prefix + message)))
        let commitment = Point.base.times(r).encoded
        let k = Order.reduce([UInt8](SHA2.sha512(commitment + publicKey + message)))
        return commitment + Data(Order.reduce(Order.product(k, scalar, plus: r)))
    }
}

/// A device for tests.
struct TestIdentity: DeviceIdentity {
    let id: String
    let publicKey: Data
    private let key: Ed25519

    init(seed: Data) {
        key = Ed25519(seed: seed)
        publicKey = key.publicKey
        id = SHA2.sha256(publicKey).map { String(format: "%02x", $0) }.joined()
    }

    func sign(_ payload: Data) -> Data {
        key.sign(payload)
    }
}

/// Numbers modulo the order of the base point; little-endian bytes.
private enum Order {
    /// 2^252 + 27742317777372353535851937790883648493, lowest word first.
    private static let order: [UInt32] = [
        0x5cf5_d3ed, 0x5812_631a, 0xa2f7_9cd6, 0x14de_f9de, 0, 0, 0, 0x1000_0000,
    ]

    static func reduce(_ bytes: [UInt8]) -> [UInt8] {
        var rest = [UInt32](repeating: 0, count: 8)
        for byte in bytes.reversed() {
            for bit in (0..<8).reversed() {
                var carry = UInt32(byte >> bit & 1)
                for index in rest.indices { (rest[index], carry) = (rest[index] << 1 | carry, rest[index] >> 31) }
                subtractOnce(&rest)
            }
        }
        return rest.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * UInt32($0))) } }
    }

    private static func subtractOnce(_ number: inout [UInt32]) {
        if number.reversed().lexicographicallyPrecedes(order.reversed()) { return }
        var borrow: Int64 = 0
        for index in number.indices {
            let difference = Int64(number[index]) - Int64(order[index]) + borrow
            number[index] = UInt32(truncatingIfNeeded: difference)
            borrow = difference >> 32
        }
    }

    /// Not reduced: 64 bytes.
    static func product(_ a: [UInt8], _ b: [UInt8], plus c: [UInt8]) -> [UInt8] {
        var sums = c.map(UInt32.init) + [UInt32](repeating: 0, count: 32)
        for (i, a) in a.enumerated() {
            for (j, b) in b.enumerated() { sums[i + j] += UInt32(a) * UInt32(b) }
        }
        for index in 0..<63 {
            sums[index + 1] += sums[index] >> 8
            sums[index] &= 0xff
        }
        return sums.map { UInt8(truncatingIfNeeded: $0) }
    }
}

/// A point of the curve in extended coordinates (RFC 8032, 5.1.4).
private struct Point {
    var x, y, z, t: Field

    static let base: Point = {
        let x = Field(hex: "216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a")
        let y = Field(hex: "6666666666666666666666666666666666666666666666666666666666666658")
        return Point(x: x, y: y, z: Field(1), t: x * y)
    }()

    static func + (p: Point, q: Point) -> Point {
        let a = (p.y - p.x) * (q.y - q.x)
        let b = (p.y + p.x) * (q.y + q.x)
        let c = p.t * Field.twoD * q.t
        let d = p.z * Field(2) * q.z
        let (e, f, g, h) = (b - a, d - c, d + c, b + a)
        return Point(x: e * f, y: g * h, z: f * g, t: e * h)
    }

    func times(_ scalar: [UInt8]) -> Point {
        var (sum, power) = (Point(x: Field(0), y: Field(1), z: Field(1), t: Field(0)), self)
        for byte in scalar {
            for bit in 0..<8 {
                if byte >> bit & 1 == 1 { sum = sum + power }
                power = power + power
            }
        }
        return sum
    }

    var encoded: Data {
        let inverse = z.inverse
        var bytes = (y * inverse).bytes
        bytes[31] |= ((x * inverse).bytes[0] & 1) << 7
        return Data(bytes)
    }
}

/// A number modulo 2^255 - 19: 16 limbs of 16 bits and what has not been carried yet.
private struct Field {
    private var limbs = [Int64](repeating: 0, count: 16)

    init(_ small: Int64) {
        limbs[0] = small
    }

    init(hex: String) {
        for (index, limb) in limbs.indices.reversed().enumerated() {
            let start = hex.index(hex.startIndex, offsetBy: index * 4)
            limbs[limb] = Int64(hex[start..<hex.index(start, offsetBy: 4)], radix: 16) ?? 0
        }
    }

    /// Twice d = -121665/121666.
    static let twoD = Field(2) * (Field(0) - Field(121665)) * Field(121666).inverse

    static func + (a: Field, b: Field) -> Field {
        var sum = a
        for index in sum.limbs.indices { sum.limbs[index] += b.limbs[index] }
        return sum
    }

    static func - (a: Field, b: Field) -> Field {
        var difference = a
        for index in difference.limbs.indices { difference.limbs[index] -= b.limbs[index] }
        return difference
    }

    static func * (a: Field, b: Field) -> Field {
        var wide = [Int64](repeating: 0, count: 31)
        for i in 0..<16 {
            for j in 0..<16 { wide[i + j] += a.limbs[i] * b.limbs[j] }
        }
        var product = Field(0)
        for index in 0..<16 { product.limbs[index] = wide[index] + (index < 15 ? 38 * wide[index + 16] : 0) }
        product.carry()
        product.carry()
        return product
    }

    /// 2^256 is 38.
    private mutating func carry() {
        for index in 0..<16 {
            let over = limbs[index] >> 16
            limbs[index] -= over << 16
            if index < 15 { limbs[index + 1] += over } else { limbs[0] += 38 * over }
        }
    }

    /// By Fermat: the power of p - 2, whose bits are all ones but 2 and 4.
    var inverse: Field {
        var power = self
        for bit in (0..<254).reversed() {
            power = power * power
            if bit != 2, bit != 4 { power = power * self }
        }
        return power
    }

    /// The least number that is the same, 32 bytes, lowest first.
    var bytes: [UInt8] {
        var number = self
        for _ in 0..<3 { number.carry() }
        for _ in 0..<2 {
            var less = number
            less.limbs[0] -= 0xffed
            for index in 1..<16 { less.limbs[index] -= index < 15 ? 0xffff : 0x7fff }
            for index in 0..<15 {
                less.limbs[index + 1] += less.limbs[index] >> 16
                less.limbs[index] &= 0xffff
            }
            if less.limbs[15] >= 0 { number = less }
        }
        return number.limbs.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    }
}
