# SPDX-License-Identifier: BSD-3-Clause
# Places on the earth: every option of each command, errors, exact texts, and searches against a
# model that measures every distance by itself.

# Metres between two places, by the haversine.
proc distance {lon1 lat1 lon2 lat2} {
    set radians [expr {acos(-1) / 180}]
    set u [expr {sin(($lat2 - $lat1) * $radians / 2)}]
    set v [expr {sin(($lon2 - $lon1) * $radians / 2)}]
    set square [expr {$u * $u + cos($lat1 * $radians) * cos($lat2 * $radians) * $v * $v}]
    return [expr {2 * 6372797.560856 * asin(sqrt($square))}]
}

# Where GEOPOS shows them.
set palermo {13.36138933897018433 38.11555639549629859}
set catania {15.08726745843887329 37.50266842333162032}

foreach {form entries} {packed 128 table 0} {
    start_server [list zset-max-listpack-entries $entries] {
        test "GEOADD, its options and errors ($form)" {
            expect [r geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania] 2
            expect [r geoadd g 13.361389 38.115556 Palermo] 0
            expect [r geoadd g ch 13.4 38.1 Palermo 1 1 new] 2
            expect [r geoadd g nx 1 2 new] 0
            expect [r geoadd g xx 1 2 other] 0
            expect [r geoadd g XX CH 1 2 new] 1
            expect [r type g] zset
            expect [r zcard g] 3
            foreach words {{1 2} {1 2 a 3} {nx xx 1 2 a} {nx 1 2} {foo 1 2 a}} {
                expect_error "ERR *" { r geoadd g {*}$words }
            }
            expect_error "ERR syntax error" { r geoadd g nx xx 1 2 a }
            expect_error "ERR syntax error" { r geoadd g 1 2 a 3 }
            expect_error "ERR value is not a valid float" { r geoadd g x 2 a }
            expect_error "ERR invalid longitude,latitude pair 200.000000,10.000000" {
                r geoadd g 200 10 a
            }
            expect_error "ERR invalid longitude,latitude pair 1.000000,86.000000" {
                r geoadd g 5 5 fine 1 86 a
            }
            expect_nil zscore g fine
        }
        test "GEOPOS, GEOHASH, GEODIST ($form)" {
            r geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
            expect [r geopos g Palermo none Catania] [list $palermo {} $catania]
            expect [r -wire geopos g none] "*1\r\n*-1\r\n"
            expect [r -wire geopos none a b] "*2\r\n*-1\r\n*-1\r\n"
            expect [r geopos g] {}
            expect [r geohash g Palermo Catania] {sqc8b49rny0 sqdtr74hyu0}
            expect [r -wire geohash g none] "*1\r\n\$-1\r\n"
            expect [r -wire geohash none a] "*1\r\n\$-1\r\n"
            expect [r geodist g Palermo Catania] 166274.1516
            expect [r geodist g Palermo Catania km] 166.2742
            expect [r geodist g Palermo Catania MI] 103.3182
            expect [r geodist g Palermo Catania ft] 545518.8700
            expect [r geodist g Palermo Palermo] 0.0000
            expect_nil geodist g Palermo none
            expect_nil geodist none a b
            expect_error "ERR unsupported unit provided. please use M, KM, FT, MI" {
                r geodist g a b x
            }
            expect_error "ERR syntax error" { r geodist g a b m x }
            r hello 3
            expect [r -wire geodist g Palermo Catania km] "\$8\r\n166.2742\r\n"
            expect_match [r -wire geopos g Palermo none] "*2\r\n*2\r\n,13.36138933897018433\r\n,*_\r\n"
        }
        test "GEOSEARCH by radius and box, with all that it tells ($form)" {
            r geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
            r geoadd g 12.758489 38.788135 edge1 17.241510 38.788135 edge2
            set from {fromlonlat 15 37}
            expect [r geosearch g {*}$from byradius 200 km asc] {Catania Palermo}
            expect [r geosearch g {*}$from byradius 200 KM DESC] {Palermo Catania}
            expect [r geosearch g {*}$from bybox 400 400 km asc] {Catania Palermo edge2 edge1}
            expect [r geosearch g frommember Catania byradius 1 km] Catania
            expect [r geosearch g {*}$from byradius 200 km asc count 1] Catania
            expect [r geosearch g {*}$from byradius 500 km count 2] {Catania Palermo}
            expect [llength [r geosearch g {*}$from byradius 500 km count 3 any]] 3
            expect [r geosearch g {*}$from byradius 200 km asc withdist withhash withcoord] \
                [list [list Catania 56.4413 3479447370796909 $catania] \
                [list Palermo 190.4424 3479099956230698 $palermo]]
            expect [r geosearch none {*}$from byradius 200 km] {}
            expect [r geosearch none frommember x byradius 200 km] {}
            expect [r geosearchstore d g {*}$from byradius 200 km] 2
            expect [r zscore d Palermo] 3479099956230698
            expect [r geosearchstore d g {*}$from byradius 200 km count 1 storedist] 1
            expect_true { abs([r zscore d Catania] - 56.4412578701582) < 1e-9 }
            expect [r geosearchstore d g {*}$from byradius 1 m] 0
            expect [r exists d] 0
            r set d v
            expect [r geosearchstore d none {*}$from byradius 1 m] 0
            expect [r exists d] 0
            expect [r geosearchstore g g {*}$from byradius 200 km] 2
            expect [r zcard g] 2
        }
        test "GEORADIUS and GEORADIUSBYMEMBER ($form)" {
            r geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
            foreach suffix {"" _ro} {
                expect [r georadius$suffix g 15 37 200 km asc] {Catania Palermo}
                expect [r georadius$suffix g 15 37 200 km withdist desc] {{Palermo 190.4424} {Catania 56.4413}}
                expect [r georadiusbymember$suffix g Palermo 100 mi] Palermo
                expect [r georadiusbymember$suffix g Palermo 104 mi count 5] {Palermo Catania}
                expect [r georadius$suffix none 15 37 200 km] {}
                expect [r georadiusbymember$suffix none x 200 km] {}
            }
            expect [r georadius g 15 37 200 km store d] 2
            expect [r zrange d 0 -1] {Palermo Catania}
            expect [r georadiusbymember g Palermo 200 km storedist d count 1] 1
            expect [r zrange d 0 -1 withscores] {Palermo 0}
            expect [r georadius none 15 37 200 km store d] 0
            expect [r exists d] 0
            expect_error "ERR syntax error" { r georadius_ro g 15 37 200 km store d }
            expect_error "ERR syntax error" { r georadiusbymember_ro g Palermo 2 km storedist d }
            expect_error "ERR STORE option in GEORADIUS is not compatible with*" {
                r georadius g 15 37 200 km withdist store d
            }
            expect [r command getkeys georadius g 1 2 3 km store d] {g d}
            expect [r command getkeys georadius g 1 2 3 km] g
        }
        test "errors of searches ($form)" {
            r geoadd g 1 1 a
            foreach {words error} {
                {fromlonlat 1 1 byradius x km} "ERR need numeric radius"
                {fromlonlat 1 1 byradius -1 km} "ERR radius cannot be negative"
                {fromlonlat 1 1 byradius 1 x} "ERR unsupported unit provided*"
                {fromlonlat 1 1 bybox x 1 km} "ERR need numeric width"
                {fromlonlat 1 1 bybox 1 x km} "ERR need numeric height"
                {fromlonlat 1 1 bybox -1 1 km} "ERR height or width cannot be negative"
                {fromlonlat 1 1 byradius 1 km count 0} "ERR COUNT must be > 0"
                {fromlonlat 1 1 byradius 1 km count x} "ERR value is not an integer or out of range"
                {fromlonlat 1 1 byradius 1 km any} "ERR the ANY argument requires COUNT argument"
                {fromlonlat 1 1 byradius 1 km foo} "ERR syntax error"
                {fromlonlat 1 1 byradius 1 km storedist} "ERR syntax error"
                {fromlonlat 1 1 byradius 1 km bybox 1 1 m} "ERR syntax error"
                {fromlonlat 1 99 byradius 1 km} "ERR invalid longitude,latitude pair*"
                {frommember none byradius 1 km} "ERR could not decode requested zset member"
                {frommember a fromlonlat 1 1 byradius 1 km} "ERR syntax error"
                {byradius 1 km asc withdist} "ERR exactly one of FROMMEMBER or FROMLONLAT can be*"
                {frommember a asc withdist withhash} "ERR exactly one of BYRADIUS and BYBOX can be*"
            } {
                expect_error $error { r geosearch g {*}$words }
            }
            expect_error "ERR GEOSEARCHSTORE is not compatible with*" {
                r geosearchstore d g frommember a byradius 1 km withdist
            }
            r set s v
            foreach words {{geoadd s 1 1 a} {geopos s a} {geohash s a} {geodist s a b}
                {georadius s 1 1 1 m} {georadius_ro s 1 1 1 m} {georadiusbymember s a 1 m}
                {georadiusbymember_ro s a 1 m} {geosearch s frommember a byradius 1 m}
                {geosearchstore d s frommember a byradius 1 m}} {
                expect_error "WRONGTYPE *" { r {*}$words }
            }
        }
        test "searches find what a model finds ($form)" {
            set places {}
            for {set i 0} {$i < 150} {incr i} {
                set lon [expr {[random_below 3590000] / 10000.0 - 179.5}]
                set lat [expr {[random_below 1700000] / 10000.0 - 85}]
                if {$i % 2} {
                    set lon [expr {$lon / 20}]
                    set lat [expr {$lat / 20 + 40}]
                }
                r geoadd g $lon $lat p$i
            }
            for {set i 0} {$i < 150} {incr i} {
                dict set places p$i [lindex [r geopos g p$i] 0]
            }
            for {set i 0} {$i < 60} {incr i} {
                set center p[random_below 150]
                set radius [expr {int(10 ** ([random_below 700] / 100.0)) + 1}]
                set expected {}
                dict for {name place} $places {
                    if {[distance {*}[dict get $places $center] {*}$place] <= $radius} {
                        lappend expected $name
                    }
                }
                set found [r geosearch g frommember $center byradius $radius m withdist asc]
                expect_set [lmap row $found { lindex $row 0 }] $expected
                set last 0
                foreach row $found {
                    expect_true { [lindex $row 1] >= $last }
                    set last [lindex $row 1]
                }
            }
        }
    }
}
