"""Units and counters in Chinese, by the name that the same unit has in the Latin alphabet."""

CHINESE = {
    "°": "度", "mm": "毫米", "cm": "厘米 公分", "dm": "分米", "m": "米", "km": "千米 公里", "mi": "英里",
    "in": "英寸", "ft": "英尺", "nautical mile": "海里", "mg": "毫克", "g": "克", "kg": "千克 公斤",
    "t": "吨",
    "ml": "毫升", "l": "升", "ms": "毫秒", "s": "秒 秒钟", "min": "分 分钟", "h": "时 小时 个小时",
    "day": "天 日", "week": "周 星期 个星期", "month": "月 个月", "year": "年", "$": "美元", "€": "欧元",
    "£": "英镑", "¥": "元 人民币", "N": "牛 牛顿", "J": "焦 焦耳", "W": "瓦 瓦特", "kW": "千瓦",
    "V": "伏 伏特", "Ω": "欧 欧姆", "Pa": "帕 帕斯卡", "Hz": "赫兹", "mol": "摩尔", "°C": "摄氏度",
    "rad": "弧度", "unit": "单位 个单位 个单位长度 单位长度",
}  # fmt: skip

COUNTED_IN_CHINESE = (
    "个 倍 人 次 种 条 只 张 岁 件 块 棵 辆 台 页 支 枝 名 位 颗 本 根 头 匹 双 对 组 套 层 间 座 所 家 "
    "份 箱 袋 瓶 杯 盒 艘 朵 株 段 圈 步 道 题 票 架 枚 排 列 行 场 角"
)
"""What stands between a number and a thing; two of them must be the same one, as with units."""
