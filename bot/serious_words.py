"""The patterns of serious moments, for texts as `bot/plain_text.py` gives them."""

import re


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


JOKE = re.compile(
    r"\b(?:lo+l+|lolol\w*|lmf?ao+\w*|rofl|roflmao|(?:ha|he){2,}h?|xd+|jk|j/k|kidding|joking|kek"
    r"|kekw|lulz?)\b|/[sj]\b|(?:^|\s)[:;]-?[dp](?:\s|$)|(?:^|\s);-?\)"
    r"|[\U0001f600-\U0001f606\U0001f61b-\U0001f61d\U0001f602\U0001f923\U0001f480\U0001f92a]"
)
# between people who insult each other these say that it is play; who grieves writes them too
FRIENDLY = re.compile(
    r"(?:^|\s):-?\)|<3|\blove (?:you|u|ya)\b"
    r"|[\U0001f609\U0001f60a\U0001f60b\U0001f60e\u2764\U0001f618\U0001f970]"
)

_END = r"(?=\s*(?:[^\w\s'-]|$))"
# what may follow "my friend died" or "i want to kill myself": what else follows is mostly a jest
# ("in the game", "of cringe", "over this bug", "on this chair")
_THEN = (
    r"(?=\s*(?:[^\w\s'-]|$)| (?:yesterday|today|tonight|tomorrow|this (?:morning|week|month"
    r"|year|spring|summer|fall|autumn|winter|weekend)|last|earlier|recently|suddenly|unexpectedly"
    r"|peacefully|lately|again|right now|now|any ?more|soon|already|a (?:lot|few|couple|year|month"
    r"|week|day)|for (?:weeks|months|years)"
    r"|(?:\d+|two|three|four|five|six|ten|some|many) (?:years?|months?|weeks?|days?|hours?)"
    r"|on (?:mon|tues|wednes|thurs|fri|satur|sun)day|in (?:\d{4}|january|february|march|april|may"
    r"|june|july|august|september|october|november|december|(?:a|an) (?:car|bus|train|plane|house"
    r"|crash|accident|fire|motorcycle)|(?:the )?(?:hospital|hospice)|(?:his|her|their) sleep)"
    r"|(?:of|from|to|due to) (?:cancer|covid|a (?:heart|stroke|brain|drug)|heart|old age|suicide"
    r"|complications|leukemia|pneumonia|aids|alzheimer'?s|dementia|an overdose)|at (?:the age|age"
    r"|\d\d|home|hospital)|when (?:i|he|she|we) (?:was|were)|because (?!of)|since|and|but|so|after"
    r"|before|while (?:i|we|he|she)|too|i|we|every (?:day|night|single)|all the time|lol|lmao"
    r"|haha)\b)"
)
_I = r"\b(?:i(?:'m| am|'ve| have|'d|'ll| keep| can'?t stop|)|im|ive)"
_VERY = r"(?: (?:just|really|so|actually|honestly|seriously|still|kinda|always|only|fucking))*"
_WANT = r"(?:want to|wanna)"
_WILL = (
    rf" (?:{_WANT}|want|need to|going to|gonna|planning to|about to|will|decided to|tried to"
    r"|(?:been )?think(?:ing)? (?:of|about)|thought (?:of|about)|tempted to|ready to|wish to"
    r"|feel(?:ing)? like)"
)
_OWN_END = (
    rf"(?:(?:kill|hurt|cut|hang|shoot|harm)(?:t?ing)? my ?self{_THEN}|end(?:ing)? it all{_THEN}"
    rf"|(?:end(?:ing)?|tak(?:e|ing)) my (?:own )?life{_THEN}|(?:commit(?:ting)? )?suicide{_THEN})"
)
WISH_TO_DIE = _any(
    rf"{_I}{_VERY}{_WILL}{_VERY} {_OWN_END}",
    rf"^(?:been )?thinking (?:of|about) {_OWN_END}",
    rf"{_I}{_VERY}(?: been)?(?: feel| feeling| felt)?{_VERY} suicidal{_THEN}",
    r"\b(?:having|had|have|get|getting) (?:suicidal (?:thoughts|feelings)|thoughts of suicide)\b",
    r"\bsuicidal (?:thoughts|ideation)\b|\bmy suicide (?:attempt|note)\b",
    r"\bthoughts of (?:suicide|killing myself|ending my life)\b",
    r"\b(?:someone|somebody|friend|brother|sister|cousin|mom|dad|he|she|they)(?: just| has| have)*"
    rf" (?:attempted suicide|tried to (?:kill (?:him|her|them)sel\w+|commit suicide)){_THEN}",
)
_NO_MORE = rf"{_I}{_VERY} (?:don'?t|do not|no longer){_VERY} {_WANT}"
DESPAIR = _any(
    rf"{_NO_MORE} (?:live|be alive|exist|be here|wake up)"
    r" (?:any ?more|any longer|at all|ever again)",
    rf"{_NO_MORE} (?:live|be alive|exist){_END}",
    rf"\b(?:idk|don'?t know|not sure) if i {_WANT} (?:live|be alive|exist|be here) any ?more",
    rf"{_I}{_VERY} {_WANT}{_VERY} die\s*(?:[.!,]|$|tonight|so bad(?:ly)?\b)",
    rf"\bi (?:\w+ ){{1,4}}and (?:just )?{_WANT} die{_END}",
    rf"{_I}{_VERY} wish{_VERY} i (?:was|were|had) (?:dead|never (?:been )?born)\b",
    rf"{_I}{_VERY} think(?:ing)? about dying{_THEN}",
    r"\b(?:every(?:one|body)|they|the world|you)(?:'d| would|'ll| will| is|'s)?(?: all)?(?: be)?"
    r" better off (?:without me|if i (?:was|were) (?:dead|gone))\b",
    r"\b(?:no ?one|nobody) would(?: even| ever)? (?:care|notice|miss me)"
    r" if i (?:died|was dead|(?:was|were) gone|killed myself)\b",
    r"\bhope i (?:don'?t|never) wake up(?! late)\b",
    rf"{_I}{_VERY} (?:tired of (?:living|being alive)|done with (?:life|living)){_END}",
    rf"\bi(?:'ve)? cut myself (?:again|last night|yesterday|tonight){_END}",
    r"\bi(?:'d| would) be better off dead\b|\bnothing (?:left )?to live for\b",
    r"\b(?:no|any|a|the) (?:reason|point) (?:to (?:keep )?liv(?:e|ing)|(?:in|of) living)"
    r"\s*(?:[.!?,]|$|any ?more)",
    r"\b(?:my )?life (?:is not|isn'?t|is no longer) worth (?:living|it any ?more)\b",
    r"\bi can(?:no|')?t (?:go on|keep (?:going|living)|live)(?: like this)? any ?more\b",
    r"\bi can(?:no|')?t (?:go on|live) like this\b",
    rf"{_I}{_VERY} (?:been |started |keep |kept |back to )*(?:self[- ]?harm(?:ing|ed)?|cutting my"
    rf" ?(?:self|wrists|arms)){_THEN}",
    r"\bi (?:just )?(?:took|swallowed) (?:all (?:of )?(?:my|the)|a (?:whole )?bottle of)"
    r" (?:sleeping )?pills\b",
)

_ELDER = (
    r"(?:(?:great[- ]?)*grand ?(?:ma|pa|mother|father|mom|dad|parents?)|granny|gran|granddad"
    r"|grandad|nana?|nan|papa|mum|mom|mommy|mama|mother|dad|daddy|father)"
)
_HUMAN = (
    rf"(?:{_ELDER}|grand(?:son|daughter)|(?:step|half)[- ]?(?:mom|mum|dad|mother|father|brother"
    r"|sister)|brother|bro|sister|sis|twin|son|daughter|wife|husband|spouse|fiancee?|girlfriend"
    r"|boyfriend|gf|bf|partner|aunt|auntie|aunty|uncle|cousin|nephew|niece|(?:mother|father|brother"
    r"|sister)[- ]in[- ]law|godmother|godfather|baby|roommate|neighbou?r|teacher|classmate"
    r"|colleague|coworker|mentor|kid|child|ex|friends?)"
)
_PET = r"(?:dog|doggo|puppy|pup|cat|kitten|kitty|bunny|rabbit|hamster|guinea pig|horse|parrot|pet)"
_DEAR = (
    r"(?:my|our|his|her|their)(?: (?:poor|dear|old|sweet|little|beloved|late|older|younger|family"
    r"|best|close|closest|oldest|childhood|good|\d+ years? old))*"
    r"(?: (?:friend|wife|husband|mom|mum|dad|gf|bf"
    r"|girlfriend|boyfriend|partner|roommate|fiancee?|sister|brother|cousin)'s)?"
    rf" (?:{_HUMAN}|{_PET})(?: from \w+)?"
)
_ADVERB = r"(?: (?:just|sadly|suddenly|recently|actually|unexpectedly|also|has|have|had|both))*"
_NOT_IF = r"(?<!if )(?<!imagine )(?<!unless )(?<!until )(?<!before )(?<!like )(?<!wish )"
_ILL = (
    r"(?:stage (?:\d|i{1,3}v?|iv|four|three) )?(?:terminal |lung |breast |brain |pancreatic |colon"
    r" |liver |skin |bone |ovarian |prostate )*(?:cancer|leuk(?:a)?emia|lymphoma|als|tumou?r)\b"
)
_GONE = (
    r" (?:died|passed away|(?:was|got) (?:killed|murdered)|was found dead|is dead|is gone forever"
    r"|did ?n'?t make it|took (?:his|her|their) own life|committed suicide"
    r"|(?:killed|hung|hanged) (?:him|her|them)sel(?:f|ves)|overdosed|drowned|is dying"
    rf"|is (?:in (?:a )?(?:hospice|coma)|on life support))(?! again){_THEN}"
)
# in a game friends die all the time; PLAY tells it, unless SURELY does not belong there
PLAY = re.compile(
    r"\b(?:reviv\w*|respawn\w*|spawn\w*|rezz?|raid|boss|lobby|ranked|hardcore|creepers?|loot|dungeon"
    r"|hp|heals?|minecraft|fortnite|valorant|roblox|elden ring|souls|in[- ]?game|checkpoint)\b"
)
SURELY = re.compile(
    r"\b(?:passed|funeral|cancer|condolences|buried|suicide|own life|yesterday|today|this morning"
    rf"|last (?:night|week|month|year)|{_ELDER})\b"
)
LOSS = _any(
    rf"{_NOT_IF}\b{_DEAR}{_ADVERB}{_GONE}",
    rf"(?:^|[.,!] ){_ELDER}{_ADVERB}{_GONE}",
    rf"{_NOT_IF}\b(?:my|our) (?:{_ELDER}|{_PET}){_ADVERB} passed{_THEN}",
    rf"\b{_DEAR} (?:\w+ ){{0,5}}(?:attack|stroke|accident|crash|surgery|(?:hit|run over) by a \w+)"
    rf" and (?:died|did ?n'?t make it){_THEN}",
    r"\b(?:someone|somebody|a (?:friend|kid|guy|girl)) (?:from|at|in|of|i) (?:\w+ ){1,2}"
    rf"(?:died|passed away|committed suicide|killed (?:him|her|them)sel\w+){_THEN}",
    rf"(?:^|\b(?:i|we)(?:'ve| have)?{_ADVERB} )lost (?:{_DEAR}|(?:the|our) baby){_THEN}",
    rf"\b(?:he|she|they|who){_ADVERB} (?:passed away|committed suicide"
    rf"|took (?:his|her|their) own life){_THEN}",
    rf"\b(?:death|passing|loss) of my (?:\w+ )?(?:{_HUMAN}|{_PET})\b(?!')",
    r"\b(?:go(?:ing)? to|went to|attend(?:ing|ed)?|plan(?:ning)?|back from|leaving for|home for|at|"
    rf"after|before|for) (?:a|the|my|his|her|{_DEAR}'?s?) funeral\b",
    rf"(?:\b{_DEAR}|^{_ELDER})'?s? (?:funeral|wake|memorial service|death|passing)\b",
    rf"\blosing {_DEAR}(?:{_THEN}| (?:was|is|hurts))",
    rf"\b(?:we|i)(?: just)? buried {_DEAR}{_THEN}",
    rf"\b(?:rip|r\.i\.p\.?|rest in peace),? (?:to )?(?:{_DEAR}|{_HUMAN}){_END}",
    r"\bmay (?:he|she|they) rest in peace\b",
    rf"\bsorry (?:for|about|to hear (?:about|of)) (?:your|ur) (?:loss|{_HUMAN}|{_PET}){_THEN}",
    r"\b(?:my|our) (?:deepest |sincere |heartfelt )*condolences\b",
    rf"\b(?:had|have|having|going) to put (?:{_DEAR}|the (?:dog|cat)|him|her)"
    rf" (?:down|to sleep){_THEN}",
    rf"\b(?:my|our)(?: old)? {_PET} (?:was|had to be) put (?:down|to sleep){_THEN}",
    r"\b(?:i|we|wife|sister|girlfriend|gf|daughter|she)(?: just)? (?:had|suffered) a (?:miscarriage"
    r"|stillbirth)\b(?! of)",
    rf"\b(?:i|{_DEAR})(?:'ve| have| has| was| just|'s| been| got)*"
    rf" (?:diagnosed with|dying (?:of|from)) {_ILL}",
    rf"(?:\b{_DEAR}|^{_ELDER})(?:'s)? (?:has|had|have|got) {_ILL}",
    r"\bi (?:have|'ve got|got) (?:stage|terminal) (?:\d |iv |four )?cancer\b",
)

_NAME = (
    r"(?:idiots?|morons?|imbecile|dumb(?:ass|fuck)|losers?|ret\w?ard|asshole|arsehole|bitch|cunt"
    r"|prick|dickhead|dick|scum(?:bag)?|piece of (?:shit|crap|trash|garbage)|shithead|dipshit"
    r"|bastard|liar|coward|clown|fool|douche(?:bag)?|jerk|hypocrite|twat|wanker|creep|fat ?ass)"
)
_VILE = (
    rf"(?:{_NAME}|stupid|dumb|pathetic|ret\w?arded|trash|garbage|worthless|disgusting|brain ?dead"
    r"|ignorant|dense)"
)
_SUCH = (
    r"(?: (?:a|an|the|such|just|all|really|so|too|literally|actually|being|fucking|fuckin|complete"
    r"|total|absolute|bloody|god ?damn|damn|goddamned|little|massive|real|one|fat|stupid|lying"
    r"|pathetic|biggest|most|worst|and))*"
)
INSULT = _any(
    rf"(?:\byou(?:'re| are|r)?|\bur|\bu r|\byoure){_SUCH} {_VILE}\b"
    r"(?! (?:question|error|bug|idea|enough))",
    rf"\bwhat an?{_SUCH} {_VILE}\s*(?:[.!]|$)",
    r"^(?:\w+ ){0,3}shut (?:the (?:fuck|hell) )?(?:your (?:mouth|face)|up)\b(?! (?:and take|lol))",
    r"\bstfu\b|\bgtfo\b",
    r"\b(?:fuck|screw|damn) (?:you|u|off)\b|\bpiss off\b|\bgo to hell\b|\bgo fuck yourself\b",
    rf", (?:you )?{_NAME}\s*[.!]*$|^(?:you |fucking ){{0,2}}{_NAME}\s*[.!]*$",
    r"\bi (?:fucking |really )?hate you\b|\byou disgust me\b|\byou make me sick\b"
    r"|\bno(?: ?one|body) (?:likes|wants|cares about|asked) you\b",
)
CURSE = _any(
    r"(?<!say )(?<!said )(?<!saying )(?<!typing )\bk ?y ?s\b"
    r"|(?:^|[.,!?] |\b(?:go|just|please|should) )kill (?:your|ur) ?self"
    r"(?=\s*(?:[.!,]|$| (?:you|already|pls|please|now)))|\bgo (?:and )?die\b(?=\s*(?:[.!,]|$|in a))"
    r"|\bhope (?:you|u) (?:die|get (?:cancer|hit by))\b|\bdrink bleach\b|\bneck yourself\b"
    r"|\b(?:i'?ll|i will|gonna|going to) (?:fucking )?(?:kill|stab|murder) you\b(?=\s*(?:[.!]|$))"
)
