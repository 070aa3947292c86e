(* A format that no program has, with the shapes that lenses have: values and none, lists, blocks, comments, repeated
   keys. Small, because libaugeas compiles what a lens consists of anew for every text that it reads or writes. *)
module Fuzzed =

let eol = del /[ \t]*\n/ "\n"
let equals = del /[ \t]*=[ \t]*/ " = "
let word = /[^ \t\n#;=,{}]+/
let indent = del /[ \t]*/ ""

let empty = [ del /[ \t]*\n/ "\n" ]
let comment = [ indent . label "#comment" . del /#[ \t]*/ "# " . store /[^ \t\n]([^\n]*[^ \t\n])?/ . eol ]
let flag = [ indent . key /[A-Z][A-Za-z]*/ . eol ]
let value = [ indent . key /[a-z][a-z_]*/ . equals . store /[^ \t\n]([^\n]*[^ \t\n])?/ . eol ]
let item = [ seq "item" . store word ]
let list = [ indent . key /@[a-z]+/ . equals . counter "item" . item . ( del /[ \t]*,[ \t]*/ ", " . item )* . eol ]
let entry = comment | flag | value | list
let block = [ indent . key /%[a-z]+/ . del /[ \t]+/ " " . store word . del /[ \t]*\{[ \t]*\n/ " {\n"
            . ( entry | empty )* . del /[ \t]*\}[ \t]*\n/ "}\n" ]

let lns = ( entry | empty | block )*
