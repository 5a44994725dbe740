"""The words, English and Chinese, that call the parts of a card's picture.

Holds: name of a part -> its words, separated by blanks. Not here: colours (`palette`), which part goes
with which (`scenes`). A name here is the name of the function that paints the part.
"""

PLACE_WORDS = {
    "mountains": "mountain peak cliff alps valley waterfall summit ridge 山 峰 瀑布 峡谷 崖 长城",
    "hills": "hill village farm countryside park road autumn 丘 村 田 乡 公园",
    "meadow": "meadow field grass garden wildflower spring prairie 草 花园 原野 春 花田",
    "desert": "desert dune sand oasis pyramid sahara mars 沙漠 沙丘 敦煌 火星",
    "city": (
        "city skyline skyscraper rooftop urban downtown metropolis tower utopia utopian 城市 都市 天际线 楼顶 高楼"
    ),
    "street": "street alley neon cyberpunk market shop motorcycle nightlife 街 巷 霓虹 夜市 赛博 店",
    "sea": (
        "sea ocean beach wave lake river harbor harbour coast shore island boat ship sail lighthouse "
        "海 湖 江 河 岛 浪 港 船 舟"
    ),
    "forest": "forest wood jungle pine grove bamboo trees fern moss 森林 林 竹 树林",
    "space": (
        "space galaxy planet cosmic cosmos nebula asteroid orbit astronaut spaceship spacecraft "
        "universe 太空 宇宙 星球 银河 星云 宇航 航天 空间站"
    ),
    "room": (
        "room interior kitchen library cafe studio window table desk bedroom shelf bookshop workshop "
        "室 厨房 书房 窗 桌 咖啡 茶"
    ),
    "underwater": ("underwater reef coral jellyfish submarine mermaid aquarium 水下 海底 珊瑚 水母 鲸 锦鲤"),
    "abstract": "abstract geometric pattern fractal swirl wallpaper texture 抽象 几何 图案",
    "studio": "portrait close-up closeup bust headshot face backdrop 肖像 特写 头像",
}

SUBJECT_WORDS = {
    "portrait": (
        "portrait woman girl face lady queen princess goddess man boy person female male elf fairy "
        "angel bust model singer singers heroine 女孩 少女 女子 女人 肖像 美人 男子 仙女 脸 旗袍"
    ),
    "wanderer": (
        "wanderer traveler traveller hiker figure monk child explorer silhouette astronaut pilgrim "
        "fisherman 旅人 行者 背影 僧 孩子 老人 渔翁 宇航员"
    ),
    "umbrella": "umbrella rain rainy raincoat 伞 雨夜 雨",
    "warrior": "warrior knight samurai soldier sword armor armour hunter 武士 骑士 侠 剑 将军",
    "wizard": "wizard witch sorcerer mage magician 巫 法师 魔法师",
    "couple": "couple lovers wedding dance dancing friends 情侣 恋人 两人 夫妻",
    "robot": ("robot android cyborg mech mecha machine mechanical robotic humanoid drone 机器人 机甲 机械"),
    "cat": "cat kitten feline tiger lion leopard panther 猫 虎 狮 豹",
    "fox": "fox wolf raccoon coyote 狐 狼",
    "dog": "dog puppy corgi hound husky 狗 犬",
    "rabbit": "rabbit bunny hare 兔",
    "bear": "bear panda koala hamster mouse monkey 熊 熊猫 鼠 猴",
    "deer": "deer stag elk horse unicorn antler reindeer pony 鹿 马 麒麟",
    "bird": ("bird owl eagle phoenix crane swan raven parrot hummingbird dove peacock 鸟 鹤 凤 鹰 燕 孔雀"),
    "fish": "fish koi whale dolphin shark goldfish 鱼 鲸 锦鲤",
    "butterfly": "butterfly moth dragonfly insect bee 蝴蝶 蛾 蜻蜓",
    "dragon": "dragon serpent snake 龙 蛇",
    "flowers": ("flower rose bouquet tulip lotus peony sunflower lily bloom orchid vase floral 花 荷 莲 牡丹 玫瑰 菊"),
    "tree": "tree oak maple sakura cherry bonsai willow 树 樱 枫 银杏 柳 梅",
    "house": "house cottage cabin hut home barn treehouse village bookshop 房 屋 村 院 家",
    "castle": ("castle palace fortress tower cathedral temple kingdom ruins 城堡 宫 教堂"),
    "lighthouse": "lighthouse beacon 灯塔",
    "pagoda": "pagoda shrine temple japanese chinese dynasty 塔 寺 古镇 亭 楼阁 庙",
    "boat": "boat ship sail sailboat yacht canoe vessel 船 舟 帆",
    "balloon": "balloon airship zeppelin 热气球 气球 飞艇",
    "rocket": "rocket spaceship spacecraft shuttle starship satellite aircraft jet 火箭 飞船 卫星",
    "lanterns": "lantern candlelit festival 灯笼 花灯 烛 元宵",
    "bowl": ("ramen noodle noodles soup bowl food dish rice coffee tea cup meal breakfast 面 汤 碗 食 饭 茶 火锅"),
    "cake": ("cake dessert cupcake pastry chocolate ice-cream cookie macaron bakery candy 蛋糕 甜点 月饼 糖"),
    "gem": "crystal crystalline gem gemstone jewel diamond perfume bottle 水晶 宝石 香水 玉",
}

WEATHER_WORDS = {
    "rain": "rain rainy storm wet drizzle monsoon 雨",
    "snow": "snow snowy winter snowflake blizzard christmas 雪 冬",
    "petals": "petal petals sakura blossom leaves leaf autumn cherry wind confetti 樱 花瓣 落叶 枫 秋",
    "sparks": ("firefly fireflies sparkle sparkling magic magical embers fairy particles 萤 魔法 光点 火星"),
    "haze": "mist misty fog foggy haze smoke steam cloud clouds 雾 云 烟 霭",
    "beams": "sunbeam sunbeams rays sunlight shafts godrays 阳光 光束",
    "birds": "birds flock seagull seagulls crow crows 鸟群 海鸥 雁",
}
